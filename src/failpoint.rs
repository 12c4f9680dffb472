//! Places at which a test ends the process, as `kill -9` does, or lets it panic. They are code only
//! in builds that have the dependencies of the tests, which turn the feature `failpoints` of the
//! crate `fail` on: in every other build `here!` is nothing, and [`arm`] does nothing.
//!
//! A test names them in the variable `FAILPOINTS` of a daemon: `return` kills, `panic` panics, and
//! `2*off->return` lets two pass before.

/// A place of this name.
macro_rules! here {
    ($name:literal) => {
        ::fail::fail_point!($name, |_| $crate::failpoint::die())
    };
}
pub(crate) use here;

/// Takes the places to act at from the environment, once for the life of the process.
pub fn arm() {
    if fail::has_failpoints() {
        // Dropped, it would disarm them again.
        std::mem::forget(fail::FailScenario::setup());
    }
}

/// Ends the process at once: nothing is flushed, dropped or caught.
pub fn die() -> ! {
    let own = rustix::process::getpid();
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    // Where the signal takes its time.
    std::process::abort()
}
