//! What may run long runs on a stack of its own, where it can be left in the middle and gone back to.
//!
//! While a script runs, its frames and those of Lua are on the stack. To serve others meanwhile, the hook that looks at the
//! clock switches back to the worker's own stack ([`give_way`]), and the worker switches to the script's again when others have
//! had their turn. What is not left in the middle pays for the two switches and for nothing else.
//!
//! MIGRATE within a script or a transaction, where nothing can be done without it, switches back while it waits for another server.
//!
//! What was begun is always brought to its end: Lua's frames cannot be unwound.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

/// Bytes of address space of a stack, the same as a worker's own has; memory is taken as it is touched. Lua goes at most 200
/// calls of C deep, and values that are nested a thousand deep are read and written by recursion.
const STACK: usize = 32 << 20;

thread_local! {
    /// The way back from what runs apart on this thread, if anything does.
    static WAY: Cell<Option<NonNull<Yielder<(), ()>>>> = const { Cell::new(None) };
}

/// Where a thread keeps its stack between runs. It is made at the first.
#[derive(Default)]
pub struct Home(Cell<Option<DefaultStack>>);

impl Home {
    fn stack(&self) -> io::Result<DefaultStack> {
        self.0.take().map_or_else(|| DefaultStack::new(STACK), Ok)
    }
}

/// Something that runs on a stack of its own. Dropped in the middle, it is brought to its end first.
pub struct Apart<'a, R> {
    coroutine: ManuallyDrop<Coroutine<(), (), R, DefaultStack>>,
    home: &'a Home,
    /// It uses what it borrows until its end, which is before or within `drop`.
    _borrows: PhantomData<&'a mut ()>,
}

/// Forgets the way back when what runs apart ends, however it does.
struct Arrived;

impl Drop for Arrived {
    fn drop(&mut self) {
        WAY.set(None);
    }
}

impl<'a, R> Apart<'a, R> {
    /// Prepares to run `run`, which begins with the first [`Apart::resume`].
    ///
    /// # Errors
    /// There is no memory for a stack: `run` comes back, to be run where the caller is.
    #[inline]
    pub fn new<F: FnOnce() -> R + 'a>(home: &'a Home, run: F) -> Result<Self, F> {
        let Ok(stack) = home.stack() else { return Err(run) };
        let run = |way: &Yielder<(), ()>, ()| {
            WAY.set(Some(NonNull::from(way)));
            let _arrived = Arrived;
            run()
        };
        // SAFETY: what `run` borrows outlives the coroutine, which is driven to its end in `drop` at the latest, while all of that is
        // still borrowed. If this value is forgotten instead, the coroutine is never resumed, its stack is never freed, and the
        // frames on it lie idle: they are those of commands, of Lua and of its binding (only `give_way` leaves them in the middle,
        // and only the hook of the virtual machine and MIGRATE call that), none of which lends anything to another thread.
        let coroutine = ManuallyDrop::new(unsafe { Coroutine::with_stack_unchecked(stack, run) });
        Ok(Apart { coroutine, home, _borrows: PhantomData })
    }

    /// Runs on, until the end, whose result is returned, or until it is left in the middle. A panic comes out here. To be called
    /// until there was a result.
    #[inline]
    pub fn resume(&mut self) -> Option<R> {
        match self.coroutine.resume(()) {
            CoroutineResult::Yield(()) => None,
            CoroutineResult::Return(result) => Some(result),
        }
    }
}

impl<R> Drop for Apart<'_, R> {
    fn drop(&mut self) {
        while self.coroutine.started() && !self.coroutine.done() {
            drop(self.resume());
        }
        // SAFETY: this is the only place that takes it, and nobody uses it afterwards.
        let coroutine = unsafe { ManuallyDrop::take(&mut self.coroutine) };
        // One that never began is dropped with its stack.
        if coroutine.done() {
            self.home.0.set(Some(coroutine.into_stack()));
        }
    }
}

/// Leaves what runs apart on this thread in the middle, until it is resumed; nothing where nothing does.
///
/// Nothing that others may use meanwhile may be borrowed.
#[cold]
pub fn give_way() {
    // While it is left there is no way back from it.
    let Some(way) = WAY.take() else { return };
    // SAFETY: the way was noted at the start of what runs apart, on whose stack it lies, and is forgotten at its end. It is in its
    // place only while that is running, which is therefore who calls this: nothing else runs on this thread.
    unsafe { way.as_ref() }.suspend(());
    WAY.set(Some(way));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn it_is_left_and_gone_back_to_and_its_stack_is_used_again() {
        let home = Home::default();
        for round in 0..3 {
            let mut steps = Vec::new();
            let mut apart = Apart::new(&home, || {
                for step in 0..round {
                    steps.push(step);
                    give_way();
                }
                steps.len()
            })
            .unwrap_or_else(|_| panic!("no stack"));
            assert!(home.0.take().is_none(), "the stack is in use");
            let mut left = 0;
            let result = loop {
                // Between its steps there is nothing to leave.
                give_way();
                match apart.resume() {
                    Some(result) => break result,
                    None => left += 1,
                }
            };
            drop(apart);
            assert_eq!((left, result), (round, round));
            let stack = home.0.take();
            assert!(stack.is_some());
            home.0.set(stack);
        }
        give_way();
    }

    #[test]
    fn one_that_is_dropped_in_the_middle_is_brought_to_its_end() {
        let home = Home::default();
        let mut ended = false;
        let mut apart = Apart::new(&home, || {
            (0..5).for_each(|_| give_way());
            ended = true;
        })
        .unwrap_or_else(|_| panic!("no stack"));
        assert_eq!(apart.resume(), None);
        drop(apart);
        assert!(ended);
        // One that never began never begins.
        let mut began = false;
        drop(Apart::new(&home, || began = true));
        assert!(!began);
    }

    #[test]
    fn a_panic_comes_out_and_leaves_the_stack_sound() {
        let home = Home::default();
        for _ in 0..3 {
            let run = || -> u8 {
                give_way();
                panic!("a command broke")
            };
            let mut apart = Apart::new(&home, run).unwrap_or_else(|_| panic!("no stack"));
            assert_eq!(apart.resume(), None);
            assert!(catch_unwind(AssertUnwindSafe(|| apart.resume())).is_err());
            drop(apart);
            give_way();
        }
        assert!(home.0.take().is_some());
    }
}
