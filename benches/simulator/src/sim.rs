//! A run: processes the events of a scenario in order.

use tokio::time::Instant;
use tower_balance::policy::InvalidPolicy;
use tower_balance::policy::prequal::Report;
use tower_util::rng::{Rng, SplitMix};

use crate::client::Client;
use crate::contestant::Contestant;
use crate::draw::{exponential, fork};
use crate::event::{EventQueue, MS, Nanos, SECOND};
use crate::group::{Group, Target};
use crate::scenario::{Change, Row, Scenario};
use crate::score::Score;
use crate::server::{Behavior, Completion, Server};
use crate::usage;

/// Runs a scenario with one of its rows.
///
/// All pickers get the same requests: their times, clients and work depend only on the seed. `base` is the instant of the virtual
/// time zero; the results do not depend on it.
///
/// # Errors
///
/// If a picker rejects its settings.
pub fn run(
    scenario: &Scenario,
    row: &Row,
    seed: u64,
    base: Instant,
) -> Result<Score, InvalidPolicy> {
    let mut sim = Sim::new(scenario, row, seed, base)?;
    let end = scenario.duration + scenario.deadline;
    while let Some((now, event)) = sim.queue.next_until(end) {
        sim.handle(event, now);
    }
    Ok(sim.close(end))
}

struct Sim<'a> {
    scenario: &'a Scenario,
    row: &'a Row,
    queue: EventQueue<Event>,
    servers: Vec<Server>,
    clients: Vec<Client>,
    requests: Vec<Option<Request>>,
    free: Vec<u32>,
    traffic: SplitMix,
    score: Score,
}

#[derive(Clone, Copy)]
struct Request {
    client: usize,
    group: usize,
    target: Target,
    began: Nanos,
    /// The number of in-flight requests of its server when it arrived.
    in_flight: u32,
}

#[derive(Clone, Copy)]
enum Event {
    /// A request arrives.
    Arrive,
    /// A server is done with a request, if the prediction is still valid.
    Finish { server: usize, generation: u32 },
    /// A request that used no core ends.
    End {
        request: u32,
        completion: Completion,
    },
    /// A change of the scenario, by its index.
    Change(usize),
    /// A probe reaches its server.
    Probe {
        client: usize,
        group: usize,
        ticket: usize,
        server: usize,
    },
    /// The servers report their usage.
    Usage,
}

impl<'a> Sim<'a> {
    fn new(
        scenario: &'a Scenario,
        row: &'a Row,
        seed: u64,
        base: Instant,
    ) -> Result<Self, InvalidPolicy> {
        let known = row.subset.of_each(scenario.clients, &scenario.servers);
        let mut connections = vec![0; scenario.servers.len()];
        known
            .iter()
            .flatten()
            .for_each(|(server, _)| connections[*server] += 1);
        let clients: Result<Vec<_>, _> = (known.iter().enumerate())
            .map(|(number, known)| Client::new(scenario, row, number, known, seed, base))
            .collect();
        let mut sim = Self {
            scenario,
            row,
            queue: EventQueue::new(),
            servers: scenario
                .servers
                .iter()
                .map(|host| Server::new(host.cores))
                .collect(),
            clients: clients?,
            requests: Vec::new(),
            free: Vec::new(),
            traffic: fork(seed, 0),
            score: Score::new(row.label(), scenario, connections),
        };
        for client in &mut sim.clients {
            client.plan(scenario, row);
        }
        for (number, (at, _)) in scenario.changes.iter().enumerate() {
            sim.queue.schedule(*at, Event::Change(number));
        }
        if scenario.reports && row.contestant == Contestant::WeightedRoundRobin {
            sim.queue.schedule(SECOND, Event::Usage);
        }
        sim.queue.schedule(0, Event::Arrive);
        Ok(sim)
    }

    fn handle(&mut self, event: Event, now: Nanos) {
        match event {
            Event::Arrive => self.arrive(now),
            Event::Finish { server, generation } => {
                if let Some(request) = self.servers[server].finish(generation, now) {
                    self.end(request, Completion::Responded, now);
                    self.schedule_finish(server);
                }
            }
            Event::End {
                request,
                completion,
            } => {
                if let Some(Request { target, .. }) = self.requests[request as usize] {
                    self.servers[target.server].end_idle();
                    self.end(request, completion, now);
                }
            }
            Event::Change(number) => self.change(self.scenario.changes[number].1, now),
            Event::Probe {
                client,
                group,
                ticket,
                server,
            } => self.probe((client, group), ticket, server, now),
            Event::Usage => self.report_usage(now),
        }
    }

    fn arrive(&mut self, now: Nanos) {
        let client = self.traffic.next_range(0..self.clients.len() as u64) as usize;
        let key = SplitMix::with_seed(self.traffic.next_range(0..KEYS)).next_u64();
        let work = self.scenario.work.draw(&mut self.traffic);
        let gap = exponential(&mut self.traffic, SECOND as f64 / self.scenario.rate);
        let next = now + gap as Nanos;
        if next < self.scenario.duration {
            self.queue.schedule(next, Event::Arrive);
        }

        let Client {
            groups,
            plan,
            rng,
            zone,
        } = &mut self.clients[client];
        let mut group = plan.zone(rng);
        if groups[group].members.ready() == 0 {
            group = (0..groups.len())
                .max_by_key(|other| groups[*other].members.ready())
                .unwrap_or(group);
        }
        let counts = now >= self.scenario.warm_up;
        self.score.requests += u64::from(counts);
        let Some(target) = groups[group].pick(key, rng, now) else {
            // No server is left.
            self.score.failed += u64::from(counts);
            return;
        };
        while let Some((ticket, server)) = groups[group].next_probe() {
            let probe = Event::Probe {
                client,
                group,
                ticket,
                server,
            };
            self.queue.schedule(now + PROBE, probe);
        }
        let at_home = self.scenario.servers[target.server].zone == *zone;
        self.score.local += u64::from(counts && at_home);
        let (_, from, until) = self
            .scenario
            .bad
            .unwrap_or((0, self.scenario.warm_up, Nanos::MAX));
        self.score.by_server[target.server] += u64::from((from..until).contains(&now));

        let server = &mut self.servers[target.server];
        let in_flight = server.in_flight();
        let behavior = server.behavior();
        let request = self.admit(Request {
            client,
            group,
            target,
            began: now,
            in_flight,
        });
        let server = &mut self.servers[target.server];
        let (after, completion) = match behavior {
            Behavior::Work => {
                server.begin(request, work, now);
                return self.schedule_finish(target.server);
            }
            Behavior::Respond(after) => (after, Completion::Responded),
            Behavior::Fail(after) => (after, Completion::Failed),
            Behavior::Reject(after) => (after, Completion::Rejected),
        };
        server.begin_idle();
        self.queue.schedule(
            now + after,
            Event::End {
                request,
                completion,
            },
        );
    }

    fn admit(&mut self, request: Request) -> u32 {
        if let Some(free) = self.free.pop() {
            self.requests[free as usize] = Some(request);
            return free;
        }
        self.requests.push(Some(request));
        self.requests.len() as u32 - 1
    }

    fn end(&mut self, request: u32, completion: Completion, now: Nanos) {
        let Some(ended) = self.requests[request as usize].take() else {
            return;
        };
        self.free.push(request);
        let Request {
            client,
            group,
            target,
            began,
            in_flight,
        } = ended;
        let failed = completion.is_failure();
        self.clients[client].groups[group].end(target, began, completion, now);
        self.servers[target.server].record(in_flight, now - began, failed, now);
        self.count(began, failed, now);
    }

    fn count(&mut self, began: Nanos, failed: bool, now: Nanos) {
        if began < self.scenario.warm_up {
            return;
        }
        if failed {
            self.score.failed += 1;
        } else {
            self.score.late += u64::from(now - began > self.scenario.deadline);
            self.score.latencies.push(now - began);
        }
    }

    fn schedule_finish(&mut self, server: usize) {
        if let Some((at, generation)) = self.servers[server].predict() {
            self.queue
                .schedule(at, Event::Finish { server, generation });
        }
    }

    fn change(&mut self, change: Change, now: Nanos) {
        match change {
            Change::Capacity(server, cores, speed) => {
                self.servers[server].set_capacity(cores, speed, now);
                self.schedule_finish(server);
            }
            Change::Behavior(server, behavior) => self.servers[server].set_behavior(behavior),
            Change::Crash(server) => {
                for request in self.servers[server].crash(now) {
                    self.end(request, Completion::Failed, now);
                }
            }
            Change::Restart(server) => {
                self.servers[server].restart();
                self.servers[server].set_behavior(Behavior::Work);
            }
            Change::Leave(server) => self.each_group(|group| {
                group.leave(server);
                false
            }),
            Change::Join(server) => self.each_group(|group| group.join(server, now)),
        }
    }

    /// Applies `change` to the balancers. It returns whether it has opened a connection.
    fn each_group(&mut self, change: impl Fn(&mut Group) -> bool) {
        for client in &mut self.clients {
            for group in &mut client.groups {
                self.score.opened += u64::from(change(group));
            }
            client.plan(self.scenario, self.row);
        }
    }

    fn probe(&mut self, (client, group): (usize, usize), ticket: usize, server: usize, now: Nanos) {
        let Group {
            probes, members, ..
        } = &self.clients[client].groups[group];
        let server = &self.servers[server];
        let (latency, failing) = server.latency(now);
        let report = Report {
            endpoint: ticket,
            rif: server.in_flight(),
            latency: std::time::Duration::from_nanos(latency),
            failing,
        };
        if let Some(probes) = probes {
            probes.report(report, members.instant(now));
        }
    }

    fn report_usage(&mut self, now: Nanos) {
        let usages = self
            .servers
            .iter_mut()
            .map(|server| server.usage(SECOND, now));
        let cores = self.scenario.servers.iter().map(|host| host.cores);
        for (server, weight) in usage::weights(usages.zip(cores)).into_iter().enumerate() {
            for client in &mut self.clients {
                for group in &mut client.groups {
                    group.set_weight(server, weight);
                }
            }
        }
        if now + SECOND < self.scenario.duration {
            self.queue.schedule(now + SECOND, Event::Usage);
        }
    }

    /// Ends the run. Requests without a response have taken at least until now.
    fn close(mut self, end: Nanos) -> Score {
        for request in std::mem::take(&mut self.requests).into_iter().flatten() {
            self.count(request.began, false, end + 1);
        }
        self.score.finish()
    }
}

/// The time from a request until the responses to its probes.
const PROBE: Nanos = MS / 2;
/// The number of different request keys, all equally frequent.
const KEYS: u64 = 10_000;
