//! The lifetime of a client's connection: the policy, without a clock or a socket.

use std::time::Duration;

use tokio::time::Instant;

use super::given_up::GivenUp;
use crate::config::Clients;

/// The time limits of client connections; `None` means no limit.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// For the first bytes and for the head of a request.
    pub head: Option<Duration>,
    /// For a connection without requests in flight.
    pub idle: Option<Duration>,
    /// From accepting until no more requests are taken.
    pub age: Option<Duration>,
}

impl Clients {
    /// The limits of a connection's lifetime.
    pub const fn times(&self) -> Times {
        Times {
            head: self.request_headers_timeout,
            idle: self.idle_timeout,
            age: self.max_connection_age,
        }
    }
}

/// The lifetime of one connection.
#[derive(Debug)]
pub(super) struct Lifetime {
    times: Times,
    born: Instant,
    state: State,
    /// When the proxy began to drain.
    draining: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No request has been received yet, or the head of one has begun to arrive.
    Head { since: Instant, begun: bool },
    /// Waiting for the next request.
    Idle { since: Instant },
    /// Requests are in flight.
    Active,
    /// No more requests are taken. `quiet`: since when no request is in flight and no byte is written; `stuck`: whether
    /// bytes wait to be written.
    Closing { quiet: Option<Instant>, stuck: bool },
}

/// What was seen of a connection since the last call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Requests are in flight.
    pub(super) active: bool,
    /// A request has begun; it may have ended.
    pub(super) served: bool,
    /// Bytes were received.
    pub(super) read: bool,
    /// Bytes of responses were sent.
    pub(super) wrote: bool,
    /// Bytes wait to be sent.
    pub(super) writing: bool,
    /// The connection speaks HTTP/2, where the head of a request is not distinguished from other frames.
    pub(super) http2: bool,
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Keep it, until then.
    Stay(Option<Instant>),
    /// Take no more requests, and close once those in flight are done.
    Close,
    /// Drop it immediately.
    Drop(GivenUp),
}

impl Lifetime {
    pub(super) const fn new(times: Times, born: Instant) -> Self {
        Self {
            times,
            born,
            state: State::Head {
                since: born,
                begun: false,
            },
            draining: None,
        }
    }

    /// Begins to drain. A request that is already on its way is still served.
    pub(super) fn drain(&mut self, now: Instant) {
        self.draining = Some(now);
    }

    /// Updates the state after the connection was polled. Reads the clock only where a time limit begins.
    pub(super) fn update(&mut self, seen: Seen, now: impl Fn() -> Instant) -> Action {
        self.state = match self.state {
            State::Closing { .. } if seen.active => CLOSING,
            State::Closing { quiet, .. } => State::Closing {
                quiet: quiet.filter(|_| !seen.wrote).or_else(|| Some(now())),
                stuck: seen.writing,
            },
            // ## Head | Idle => Active
            _ if seen.active => State::Active,
            // ## Active | Head => Idle
            State::Active => State::Idle { since: now() },
            _ if seen.served => State::Idle { since: now() },
            State::Head { since, .. } if seen.http2 => State::Idle { since },
            State::Head { since, begun } => State::Head {
                since,
                begun: begun || seen.read,
            },
            // The end of a response may still be on its way to a slow reader.
            State::Idle { .. } if seen.wrote => State::Idle { since: now() },
            // ## Idle => Head
            State::Idle { .. } if seen.read && !seen.http2 => State::Head {
                since: now(),
                begun: true,
            },
            same => same,
        };
        match (self.draining, self.state) {
            (Some(_), State::Active) => self.close(),
            // Over HTTP/2 this loses nothing; over HTTP/1.1 a request may be on its way.
            (Some(_), State::Idle { .. }) if seen.http2 => self.close(),
            _ => Action::Stay(self.deadline()),
        }
    }

    /// Returns what to do at the deadline of the last [`Action::Stay`].
    pub(super) const fn expire(&mut self) -> Action {
        match self.state {
            State::Head { begun: true, .. } => Action::Drop(GivenUp::Head),
            State::Head { begun: false, .. } => Action::Drop(GivenUp::Silent),
            State::Closing { stuck: true, .. } => Action::Drop(GivenUp::Unread),
            State::Closing { stuck: false, .. } => Action::Drop(GivenUp::Lingering),
            State::Idle { .. } | State::Active => self.close(),
        }
    }

    const fn close(&mut self) -> Action {
        self.state = CLOSING;
        Action::Close
    }

    fn deadline(&self) -> Option<Instant> {
        let after = |since: Instant, time: Option<Duration>| since.checked_add(time?);
        let age = after(self.born, self.times.age);
        let grace = self.draining.map(|since| since + GRACE);
        let times = match self.state {
            State::Head { since, .. } => [after(since, self.times.head), grace, None],
            State::Idle { since } => [after(since, self.times.idle), grace, age],
            State::Active => [age, None, None],
            State::Closing { quiet, stuck } => {
                // The rest of a response is worth waiting for.
                let linger = match stuck {
                    true => self.times.idle,
                    false => Some(LINGER),
                };
                [quiet.and_then(|since| after(since, linger)), None, None]
            }
        };
        times.into_iter().flatten().min()
    }
}

/// While draining, how long to wait for a request that has not been received or is incomplete.
const GRACE: Duration = Duration::from_secs(1);
/// How long a connection that takes no more requests and has none in flight may take to close.
const LINGER: Duration = Duration::from_secs(1);
const CLOSING: State = State::Closing {
    quiet: None,
    stuck: false,
};

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        head: Some(Duration::from_secs(30)),
        idle: Some(Duration::from_secs(75)),
        age: Some(Duration::from_secs(3600)),
    };
    const NOTHING: Seen = Seen {
        active: false,
        served: false,
        read: false,
        wrote: false,
        writing: false,
        http2: false,
    };
    const READ: Seen = Seen {
        read: true,
        ..NOTHING
    };
    const SERVED: Seen = Seen {
        served: true,
        wrote: true,
        ..READ
    };
    const ACTIVE: Seen = Seen {
        active: true,
        served: true,
        ..READ
    };

    /// Checks what is seen at which second, and the second until which the connection may stay then.
    fn stays(born: Instant, life: &mut Lifetime, history: &[(u64, Seen, Option<u64>)]) {
        let at = |second: u64| born + Duration::from_secs(second);
        for (second, seen, until) in history {
            let action = life.update(*seen, || at(*second));
            assert_eq!(action, Action::Stay(until.map(at)), "{second}: {seen:?}");
        }
    }

    #[tokio::test]
    async fn one_deadline_for_the_first_bytes_and_the_head() {
        let born = Instant::now();
        let mut life = Lifetime::new(TIMES, born);
        // Bytes that trickle in do not extend the deadline.
        stays(
            born,
            &mut life,
            &[
                (0, NOTHING, Some(30)),
                (10, READ, Some(30)),
                (20, READ, Some(30)),
            ],
        );
        assert_eq!(life.expire(), Action::Drop(GivenUp::Head));
        let mut silent = Lifetime::new(TIMES, born);
        stays(born, &mut silent, &[(0, NOTHING, Some(30))]);
        assert_eq!(silent.expire(), Action::Drop(GivenUp::Silent));
    }

    #[tokio::test]
    async fn idle_between_requests_and_a_head_again() {
        let born = Instant::now();
        let mut life = Lifetime::new(TIMES, born);
        stays(
            born,
            &mut life,
            &[
                (1, ACTIVE, Some(3600)),
                (9, NOTHING, Some(9 + 75)),
                // The rest of a response goes to a slow reader.
                (
                    10,
                    Seen {
                        wrote: true,
                        ..NOTHING
                    },
                    Some(10 + 75),
                ),
                (20, READ, Some(20 + 30)),
                (21, READ, Some(20 + 30)),
                (22, SERVED, Some(22 + 75)),
            ],
        );
        assert_eq!(life.expire(), Action::Close);
        stays(
            born,
            &mut life,
            &[(97, NOTHING, Some(98)), (98, NOTHING, Some(98))],
        );
        assert_eq!(life.expire(), Action::Drop(GivenUp::Lingering));
    }

    #[tokio::test]
    async fn pings_do_not_keep_an_idle_http2_connection() {
        let born = Instant::now();
        let mut life = Lifetime::new(TIMES, born);
        let ping = Seen {
            http2: true,
            ..READ
        };
        stays(
            born,
            &mut life,
            &[
                (0, NOTHING, Some(30)),
                (1, ping, Some(75)),
                (60, ping, Some(75)),
            ],
        );
        assert_eq!(life.expire(), Action::Close);
    }

    #[tokio::test]
    async fn age_ends_a_connection_when_its_requests_are_done() {
        let born = Instant::now();
        let mut life = Lifetime::new(TIMES, born);
        stays(born, &mut life, &[(3590, ACTIVE, Some(3600))]);
        assert_eq!(life.expire(), Action::Close);
        stays(
            born,
            &mut life,
            &[(3601, ACTIVE, None), (5000, NOTHING, Some(5001))],
        );
        assert_eq!(life.expire(), Action::Drop(GivenUp::Lingering));
    }

    #[tokio::test]
    async fn a_request_on_its_way_is_served_while_draining() {
        let born = Instant::now();
        let mut life = Lifetime::new(TIMES, born);
        life.drain(born + Duration::from_secs(5));
        stays(born, &mut life, &[(5, READ, Some(6))]);
        assert_eq!(life.update(ACTIVE, Instant::now), Action::Close);
        stays(born, &mut life, &[(6, ACTIVE, None)]);

        // A request that arrives a little later is served as well.
        let mut idle = Lifetime::new(TIMES, born);
        stays(born, &mut idle, &[(1, SERVED, Some(76))]);
        idle.drain(born + Duration::from_secs(2));
        stays(born, &mut idle, &[(2, NOTHING, Some(3))]);
        assert_eq!(idle.expire(), Action::Close);

        // GOAWAY says which requests were not processed.
        let mut http2 = Lifetime::new(TIMES, born);
        http2.drain(born);
        let seen = Seen {
            http2: true,
            ..SERVED
        };
        assert_eq!(http2.update(seen, Instant::now), Action::Close);
    }

    #[tokio::test]
    async fn the_rest_of_a_response_is_waited_for() {
        let born = Instant::now();
        let mut life = Lifetime::new(TIMES, born);
        stays(born, &mut life, &[(1, ACTIVE, Some(3600))]);
        assert_eq!(life.expire(), Action::Close);
        let stuck = Seen {
            writing: true,
            ..NOTHING
        };
        let some = Seen {
            wrote: true,
            ..stuck
        };
        stays(
            born,
            &mut life,
            &[
                (2, stuck, Some(77)),
                (50, some, Some(125)),
                (60, stuck, Some(125)),
                (
                    70,
                    Seen {
                        wrote: true,
                        ..NOTHING
                    },
                    Some(71),
                ),
            ],
        );
    }
}
