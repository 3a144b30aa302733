//! The parts of the tests against hostile servers and guests. What needs no host they share with those of the engine.

#[path = "../../../engine/tests/hostile/bytes.rs"]
#[allow(dead_code, reason = "the engine's tests use all of it")]
mod bytes;
mod control;
mod dns;
mod record;
#[path = "../../../engine/tests/hostile/runs.rs"]
mod runs;
mod seeded;
mod server;
mod text;
