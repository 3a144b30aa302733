//! The tests against hostile servers and guests. They share the parts that need no host with the tests of the engine.

#[path = "../../../engine/tests/hostile/bytes.rs"]
#[allow(dead_code, reason = "the engine's tests use all of it")]
mod bytes;
mod control;
mod dns;
mod leases;
mod record;
mod rules;
#[path = "../../../engine/tests/hostile/runs.rs"]
mod runs;
mod seeded;
mod server;
mod text;
