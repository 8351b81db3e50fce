//! How long a client's connection may stay: the policy, without a clock or a socket.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::GivenUp;

/// The times of connections from clients; none means without end.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// For the first bytes and the head of a request.
    pub head: Option<Duration>,
    /// Without a request.
    pub idle: Option<Duration>,
    /// From the beginning until no more requests are taken.
    pub age: Option<Duration>,
}

/// The life of one connection.
#[derive(Debug)]
pub(super) struct Lifetime {
    times: Times,
    born: Instant,
    state: State,
    /// When the proxy began to end.
    draining: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No request was made yet, or the head of one has begun to come.
    Head { since: Instant, begun: bool },
    /// Waits for the next request.
    Idle { since: Instant },
    /// Requests are in flight.
    Active,
    /// Takes no more requests. `quiet`: since when none is in flight and no byte goes; `stuck`: but some should.
    Closing { quiet: Option<Instant>, stuck: bool },
}

/// What was seen of a connection since the last look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Requests are in flight.
    pub(super) active: bool,
    /// A request has begun; it may have ended.
    pub(super) served: bool,
    /// Bytes have come.
    pub(super) read: bool,
    /// Bytes of responses have gone.
    pub(super) wrote: bool,
    /// Bytes wait to go.
    pub(super) writing: bool,
    /// It began as HTTP/2 does. There the head of a request is not told from other frames.
    pub(super) http2: bool,
}

/// What is to be done about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing, until then.
    Stay(Option<Instant>),
    /// Take no more requests, and close when those in flight are done.
    Close,
    /// Drop it as it is.
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

    /// The proxy is ending. A request that is on its way is still answered.
    pub(super) fn drain(&mut self, now: Instant) {
        self.draining = Some(now);
    }

    /// Looks at a connection after it has done what it could. Reads the clock only where a time begins.
    pub(super) fn look(&mut self, seen: Seen, now: impl Fn() -> Instant) -> Verdict {
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
            // The last of a response may still be on its way to a slow reader.
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
            // Over HTTP/2 nothing is lost by that; over HTTP/1.1 a request may be on its way.
            (Some(_), State::Idle { .. }) if seen.http2 => self.close(),
            _ => Verdict::Stay(self.deadline()),
        }
    }

    /// The time of the last [`Verdict::Stay`] has come.
    pub(super) const fn expire(&mut self) -> Verdict {
        match self.state {
            State::Head { begun: true, .. } => Verdict::Drop(GivenUp::Head),
            State::Head { begun: false, .. } => Verdict::Drop(GivenUp::Silent),
            State::Closing { stuck: true, .. } => Verdict::Drop(GivenUp::Unread),
            State::Closing { stuck: false, .. } => Verdict::Drop(GivenUp::Lingering),
            State::Idle { .. } | State::Active => self.close(),
        }
    }

    const fn close(&mut self) -> Verdict {
        self.state = CLOSING;
        Verdict::Close
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

/// While the proxy ends, a request that has not come yet, or not whole, is waited for so long.
const GRACE: Duration = Duration::from_secs(1);
/// A connection that takes no more requests and has none may take so long to say goodbye.
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

    /// What is seen at which second, and the second until which the connection may stay then.
    fn stays(born: Instant, life: &mut Lifetime, history: &[(u64, Seen, Option<u64>)]) {
        let at = |second: u64| born + Duration::from_secs(second);
        for (second, seen, until) in history {
            let verdict = life.look(*seen, || at(*second));
            assert_eq!(verdict, Verdict::Stay(until.map(at)), "{second}: {seen:?}");
        }
    }

    #[tokio::test]
    async fn one_deadline_for_the_first_bytes_and_the_head() {
        let born = Instant::now();
        let mut life = Lifetime::new(TIMES, born);
        // Bytes that trickle in give no more time.
        stays(
            born,
            &mut life,
            &[
                (0, NOTHING, Some(30)),
                (10, READ, Some(30)),
                (20, READ, Some(30)),
            ],
        );
        assert_eq!(life.expire(), Verdict::Drop(GivenUp::Head));
        let mut silent = Lifetime::new(TIMES, born);
        stays(born, &mut silent, &[(0, NOTHING, Some(30))]);
        assert_eq!(silent.expire(), Verdict::Drop(GivenUp::Silent));
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
        assert_eq!(life.expire(), Verdict::Close);
        stays(
            born,
            &mut life,
            &[(97, NOTHING, Some(98)), (98, NOTHING, Some(98))],
        );
        assert_eq!(life.expire(), Verdict::Drop(GivenUp::Lingering));
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
        assert_eq!(life.expire(), Verdict::Close);
    }

    #[tokio::test]
    async fn age_ends_a_connection_when_its_requests_are_done() {
        let born = Instant::now();
        let mut life = Lifetime::new(TIMES, born);
        stays(born, &mut life, &[(3590, ACTIVE, Some(3600))]);
        assert_eq!(life.expire(), Verdict::Close);
        stays(
            born,
            &mut life,
            &[(3601, ACTIVE, None), (5000, NOTHING, Some(5001))],
        );
        assert_eq!(life.expire(), Verdict::Drop(GivenUp::Lingering));
    }

    #[tokio::test]
    async fn a_request_on_its_way_is_answered_while_the_proxy_ends() {
        let born = Instant::now();
        let mut life = Lifetime::new(TIMES, born);
        life.drain(born + Duration::from_secs(5));
        stays(born, &mut life, &[(5, READ, Some(6))]);
        assert_eq!(life.look(ACTIVE, Instant::now), Verdict::Close);
        stays(born, &mut life, &[(6, ACTIVE, None)]);

        // One that comes a little later is as well.
        let mut idle = Lifetime::new(TIMES, born);
        stays(born, &mut idle, &[(1, SERVED, Some(76))]);
        idle.drain(born + Duration::from_secs(2));
        stays(born, &mut idle, &[(2, NOTHING, Some(3))]);
        assert_eq!(idle.expire(), Verdict::Close);

        // HTTP/2 says which requests it has not looked at.
        let mut http2 = Lifetime::new(TIMES, born);
        http2.drain(born);
        let seen = Seen {
            http2: true,
            ..SERVED
        };
        assert_eq!(http2.look(seen, Instant::now), Verdict::Close);
    }

    #[tokio::test]
    async fn the_rest_of_a_response_is_waited_for() {
        let born = Instant::now();
        let mut life = Lifetime::new(TIMES, born);
        stays(born, &mut life, &[(1, ACTIVE, Some(3600))]);
        assert_eq!(life.expire(), Verdict::Close);
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
