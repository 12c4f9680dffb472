//! What the cells and slots of the ledger share between threads, under one roof: the tests of
//! their interleavings (`tests/it/interleavings`) build the same files over a model of it.

pub(super) use std::sync::Mutex;
pub(super) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};

pub(super) use arc_swap::ArcSwapOption;
pub(super) use tokio::sync::Notify;
pub(super) use tokio::sync::futures::Notified;
