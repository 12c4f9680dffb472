//! What users suffer from, played against real parts: one topic a module, one scenario a test.

mod burst;
