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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use crate::protocol::{Args, Reply, Version};
    use crate::script::{Apart, Ended, Home, Host, Run, Shared, Source, Stop, Vm, sha1_hex};

    /// A host that answers `PING`, fails at others, and breaks at `PANIC`.
    struct Fragile {
        calls: usize,
    }

    impl Host for Fragile {
        fn call(&mut self, args: Args<'_>, _: Version, out: &mut Vec<u8>) -> Result<(), Stop> {
            self.calls += 1;
            match args.get(0) {
                b"PANIC" => panic!("a command broke"),
                b"PING" => out.extend_from_slice(b"+PONG\r\n"),
                b"STOP" => return Err(Stop::Killed),
                b"DEEP" => out.extend_from_slice(&[&b"*1\r\n".repeat(12)[..], b":7\r\n"].concat()),
                _ => out.extend_from_slice(b"-ERR no such thing\r\n"),
            }
            Ok(())
        }

        fn allows(&mut self, _: Args<'_>) -> Option<bool> {
            None
        }

        fn command(&self) -> Vec<Box<[u8]>> {
            Vec::new()
        }
    }

    fn machine() -> Vm {
        Vm::new(Box::leak(Box::new(Shared::new(1))), 0, 64 << 20, "7.2.4").unwrap()
    }

    fn run(vm: &Vm, code: &str) -> (Ended, String, usize) {
        run_watched(vm, code, 0)
    }

    fn run_watched(vm: &Vm, code: &str, busy_ms: u64) -> (Ended, String, usize) {
        let source = std::sync::Arc::new(Source::new(sha1_hex(code.as_bytes()), code.as_bytes()).unwrap());
        let body = vm.compile(&source).unwrap();
        let mut out = Vec::new();
        let mut host = Fragile { calls: 0 };
        let run = Run {
            name: "test",
            is_function: false,
            keys: Args::EMPTY,
            argv: Args::EMPTY,
            is_alone: true,
            busy_ms,
            limit_ms: 0,
        };
        let ended = vm.run(&body, run, &mut host, &mut Reply::new(&mut out, Version::Resp2));
        (ended, String::from_utf8(out).unwrap(), host.calls)
    }

    #[test]
    fn a_call_that_breaks_leaves_the_machine_sound() {
        let vm = machine();
        for _ in 0..3 {
            let broken = catch_unwind(AssertUnwindSafe(|| run(&vm, "redis.call('PING'); return redis.pcall('PANIC')")));
            assert!(broken.is_err(), "{broken:?}");
            assert_eq!(run(&vm, "return redis.call('PING')"), (Ended::Replied, "+PONG\r\n".to_owned(), 1));
        }
    }

    #[test]
    fn what_is_not_common_goes_the_long_way() {
        let vm = machine();
        let replied = |code: &str| run(&vm, code).1;
        assert_eq!(replied("return redis.pcall('PING').ok .. #redis.pcall('DEEP')"), "$5\r\nPONG1\r\n");
        assert_eq!(replied("local r = redis.call('DEEP') for _ = 1, 12 do r = r[1] end return r"), ":7\r\n");
        assert_eq!(replied("return redis.pcall('NONE').err"), "$17\r\nERR no such thing\r\n");
        assert!(replied("return redis.call('NONE')").starts_with("-ERR no such thing"));
        assert!(replied("return redis.call({})").contains("must be strings or integers"));
        assert!(replied("return redis.call()").contains("at least one argument"));
        assert_eq!(run(&vm, "redis.pcall('STOP'); redis.call('PING')").0, Ended::Stopped);
        assert_eq!(replied("return coroutine.wrap(function() return redis.call('PING').ok end)()"), "$4\r\nPONG\r\n");
        // An argument that Lua would convert in place stays the number that it is.
        assert_eq!(replied("local n = 7.5; redis.call('PING', n); return type(n)"), "$6\r\nnumber\r\n");
    }

    #[test]
    fn a_slow_script_is_left_in_the_middle_and_may_break_afterwards() {
        let (vm, home) = (machine(), Home::default());
        // Whatever is between the script and the hook: pcall, a coroutine, a function of Lua's library that calls back.
        for around in
            ["pcall", "coroutine.wrap(function(body) body() end)", "(function(body) ('x'):gsub('x', body) end)"]
        {
            for (last, ended) in [("return redis.call('PING')", Some("+PONG\r\n")), ("redis.call('PANIC')", None)] {
                let burn = "local start = os.clock() while os.clock() - start < 0.02 do end redis.call('PING')";
                let code = format!("{around}(function() {burn} end) {last}");
                let apart = Apart::new(&home, || run_watched(&vm, &code, 1).1);
                let mut apart = apart.unwrap_or_else(|_| panic!("no stack"));
                let mut left = 0;
                let result = catch_unwind(AssertUnwindSafe(|| {
                    loop {
                        match apart.resume() {
                            Some(reply) => break reply,
                            None => left += 1,
                        }
                    }
                }));
                assert_eq!(result.ok().as_deref(), ended, "{code}");
                assert!(left > 0, "{code}");
            }
        }
        assert_eq!(run(&vm, "return redis.call('PING')"), (Ended::Replied, "+PONG\r\n".to_owned(), 1));
    }
}
