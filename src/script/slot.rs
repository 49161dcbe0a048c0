//! Who runs the calls of the script at hand: lent to the virtual machine for as long as the script runs.

use std::cell::Cell;
use std::ptr::NonNull;

use super::vm::Host;

/// A place for a host. It is empty while no script runs, and while the host is in use.
#[derive(Default)]
pub(super) struct Slot(Cell<Option<NonNull<dyn Host>>>);

/// Empties the slot when a script ends, however it does.
struct Emptied<'a>(&'a Slot);

impl Drop for Emptied<'_> {
    fn drop(&mut self) {
        self.0.0.set(None);
    }
}

impl Slot {
    /// Lends a host for the time that `run` takes.
    pub(super) fn lend<R>(&self, host: &mut (dyn Host + '_), run: impl FnOnce() -> R) -> R {
        let host: NonNull<dyn Host + '_> = NonNull::from(host);
        // SAFETY: only the lifetime changes. The slot is emptied before this call ends, also by a panic, and so before the
        // borrow of the host does.
        let host = unsafe { std::mem::transmute::<NonNull<dyn Host + '_>, NonNull<dyn Host + 'static>>(host) };
        self.0.set(Some(host));
        let _emptied = Emptied(self);
        run()
    }

    /// Whether a host is lent and free.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }

    /// Uses the host, if one is lent and not in use already.
    #[inline]
    pub(super) fn with<R>(&self, serve: impl FnOnce(&mut dyn Host) -> R) -> Option<R> {
        let mut host = self.0.take()?;
        // SAFETY: `lend` has not ended, because it empties the slot; and the pointer is out of the slot meanwhile, so this is
        // the only use of it.
        let result = serve(unsafe { host.as_mut() });
        self.0.set(Some(host));
        Some(result)
    }
}
