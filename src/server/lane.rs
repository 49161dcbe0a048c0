//! The lane: connections whose requests are small and come one after the other are served side by side, by one task of their
//! worker.
//!
//! In a task of its own a connection has three turns of the scheduler for each request, and each turn runs all of the code once.
//! Here the worker takes what came for all of them since it last looked: it reads their requests, fetches the memory of
//! their keys together, executes one after the other, and hands all replies to the driver. A connection whose request asks for more,
//! to wait for example, goes back to its own task, which has slept meanwhile, and comes again when that is over.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;

use super::bell;
use super::connection::Ran;
use super::hub::Hub;
use crate::store::{AHEAD, Store, Target};

/// What a connection leaves the lane with.
pub(super) enum Parting {
    /// Its client is gone.
    Ended,
    /// More was there at once, which the driver had not to wait for; the lane would never come to an end of it.
    Hasty,
    /// Requests were executed, and what is to follow is not for the lane.
    Ran(Ran),
}

/// What rings for a seat; a bell's number is the seat's times [`BELLS`] and this.
pub(super) const RECEIVED: usize = 0;
pub(super) const SENT: usize = 1;
pub(super) const POSTED: usize = 2;
pub(super) const BELLS: usize = 4;

/// What to do with a seat.
pub(super) enum Turn {
    /// Nothing, until one of its bells rings.
    Waits,
    /// Execute what was received.
    Runs,
    /// Give the connection back.
    Leaves(Parting),
}

/// A connection in the lane, whatever it comes through.
pub(super) trait Seated {
    /// Looks at what a bell rang for.
    fn attend(&mut self, bell: usize) -> Turn;
    /// Where the key of the request at hand hashes to, if it is the only one.
    fn target(&mut self) -> Option<Target>;
    /// Executes what was received.
    fn run(&mut self) -> Turn;
    /// Gives the connection back to its task.
    fn leave(self: Box<Self>, parting: Parting);
    /// Whose it is.
    fn name(&self) -> String;
}

/// The connections of one worker that are in the lane.
#[derive(Default)]
pub(super) struct Lane {
    seats: RefCell<Seats>,
    round: RefCell<Round>,
}

#[derive(Default)]
struct Seats {
    all: Vec<Option<Box<dyn Seated>>>,
    free: Vec<usize>,
}

/// What is left to do of a round. It is kept outside of the code that does it, so that the others' requests outlast a panic.
#[derive(Default)]
struct Round {
    bells: Vec<usize>,
    heard: usize,
    runs: Vec<usize>,
    fetched: usize,
    ran: usize,
    targets: Vec<Target>,
    /// The seat that is being looked after.
    at: usize,
}

impl Lane {
    /// Takes a seat. `enter` is told its number.
    pub(super) fn sit(&self, enter: impl FnOnce(usize) -> Box<dyn Seated>) -> usize {
        let mut seats = self.seats.borrow_mut();
        let number = seats.free.pop().unwrap_or(seats.all.len());
        let seat = enter(number);
        match seats.all.get_mut(number) {
            Some(free) => *free = Some(seat),
            None => seats.all.push(Some(seat)),
        }
        number
    }

    /// The connections that are in it.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.seats.borrow().all.iter().flatten().count()
    }

    /// Does one round.
    fn serve(&self, hub: &Hub) {
        let mut round = self.round.borrow_mut();
        bell::take(&mut round.bells);
        let mut seats = self.seats.borrow_mut();
        while catch_unwind(AssertUnwindSafe(|| round.go_on(&mut seats, hub))).is_err() {
            if let Some(seat) = seats.take(round.at) {
                tracing::error!("{} was cut off by the internal error above; please report it", seat.name());
            }
        }
    }
}

impl Seats {
    #[inline]
    fn at(&mut self, number: usize) -> Option<&mut (dyn Seated + 'static)> {
        self.all.get_mut(number)?.as_deref_mut()
    }

    /// Empties a seat.
    fn take(&mut self, number: usize) -> Option<Box<dyn Seated>> {
        let seat = self.all.get_mut(number)?.take()?;
        self.free.push(number);
        Some(seat)
    }

    /// Does what a seat's turn is, and returns whether that is to run.
    #[inline]
    fn follow(&mut self, number: usize, turn: Turn) -> bool {
        match turn {
            Turn::Waits => false,
            Turn::Runs => true,
            Turn::Leaves(parting) => {
                if let Some(seat) = self.take(number) {
                    seat.leave(parting);
                }
                false
            }
        }
    }
}

impl Round {
    fn go_on(&mut self, seats: &mut Seats, hub: &Hub) {
        while let Some(number) = self.bells.get(self.heard) {
            self.heard += 1;
            self.at = number / BELLS;
            // It may have rung for who sat here before.
            let Some(seat) = seats.at(self.at) else { continue };
            let turn = seat.attend(number % BELLS);
            if seats.follow(self.at, turn) {
                self.runs.push(self.at);
            }
        }
        while let Some(number) = self.runs.get(self.ran) {
            if self.ran == self.fetched {
                self.fetch(seats, hub);
                continue;
            }
            self.ran += 1;
            self.at = *number;
            let Some(seat) = seats.at(self.at) else { continue };
            let turn = seat.run();
            if seats.follow(self.at, turn) {
                self.runs.push(self.at);
            }
        }
        self.bells.clear();
        self.runs.clear();
        (self.heard, self.fetched, self.ran) = (0, 0, 0);
    }

    /// Fetches the memory that the next ones will need.
    fn fetch(&mut self, seats: &mut Seats, hub: &Hub) {
        self.targets.clear();
        let end = self.runs.len().min(self.ran + AHEAD);
        self.fetched = end;
        for number in &self.runs[self.ran..end] {
            self.at = *number;
            self.targets.extend(seats.at(self.at).and_then(|seat| seat.target()));
        }
        if !self.targets.is_empty() {
            let worker = hub.worker.borrow();
            Store::new(&worker.node.keyspace, &worker.local, 0, worker.now_ms).prefetch_targets(&self.targets);
        }
    }
}

/// The task of a worker's lane: runs for as long as the worker does.
pub(super) async fn conduct(hub: Rc<Hub>) {
    poll_fn(|context| {
        bell::hear(context);
        hub.lane.serve(&hub);
        Poll::<()>::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Facts, Node, Worker};
    use crate::config::{Handle, Settings};

    /// A seat that writes down what is done with it, and panics where it is told to.
    struct Pretender {
        name: char,
        panics: bool,
        log: Rc<RefCell<String>>,
    }

    impl Seated for Pretender {
        fn attend(&mut self, bell: usize) -> Turn {
            match bell {
                RECEIVED => Turn::Runs,
                SENT => Turn::Leaves(Parting::Ended),
                _ => Turn::Waits,
            }
        }

        fn target(&mut self) -> Option<Target> {
            self.log.borrow_mut().push(self.name);
            None
        }

        fn run(&mut self) -> Turn {
            assert!(!self.panics, "as the test wants it");
            self.log.borrow_mut().push(self.name.to_ascii_uppercase());
            Turn::Waits
        }

        fn leave(self: Box<Self>, _: Parting) {
            self.log.borrow_mut().push('-');
        }

        fn name(&self) -> String {
            self.name.to_string()
        }
    }

    #[test]
    fn a_round_runs_what_came_and_a_panic_empties_one_seat() {
        let node = Box::leak(Box::new(Node::new(Handle::new(Settings::default()), 1, 16, Facts::default())));
        let hub = Hub::new(Worker::new(node, 0), false, None).unwrap();
        let log = Rc::new(RefCell::new(String::new()));
        let numbers = ['a', 'b', 'c'].map(|name| {
            let seat = Pretender { name, panics: name == 'b', log: log.clone() };
            hub.lane.sit(|_| Box::new(seat))
        });
        let round = |bell: usize| {
            for number in numbers {
                bell::ring(number * BELLS + bell);
            }
            hub.lane.serve(&hub);
            std::mem::take(&mut *log.borrow_mut())
        };
        assert_eq!(round(POSTED), "");
        assert_eq!(round(RECEIVED), "abcAC");
        assert_eq!(hub.lane.len(), 2);
        assert_eq!(round(RECEIVED), "acAC");
        assert_eq!(round(SENT), "--");
        // A bell may ring for who has left.
        assert_eq!(round(RECEIVED), "");
        let again = hub.lane.sit(|_| Box::new(Pretender { name: 'd', panics: false, log: log.clone() }));
        assert!(numbers.contains(&again));
        assert_eq!((round(RECEIVED).as_str(), hub.lane.len()), ("dD", 1));
    }
}
