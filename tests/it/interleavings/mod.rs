//! Every order in which threads can come over a session's cell and an account's slot, and every
//! value that the memory model lets them see: `src/ledger/{cell,slot}.rs` as they are, built once
//! more over loom in the place of `src/ledger/sync.rs`.

mod cells;
mod slots;
mod sync;

#[path = "../../../src/ledger/cell.rs"]
#[allow(dead_code, unreachable_pub, reason = "built for its tests only")]
mod cell;
#[path = "../../../src/ledger/keeping.rs"]
#[allow(dead_code, unreachable_pub, reason = "built for its tests only")]
mod keeping;
#[path = "../../../src/ledger/slot.rs"]
#[allow(dead_code, unreachable_pub, reason = "built for its tests only")]
mod slot;

/// Runs `scene` in every order with at most three switches where none was needed; few defects take
/// more than two (Musuvathi and Qadeer, Iterative context bounding, PLDI 2007).
fn every_order(scene: impl Fn() + Send + Sync + 'static) {
    orders(3, scene);
}

/// The same with at most `switches`, for scenes of which there are too many otherwise.
fn orders(switches: usize, scene: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(scene);
}
