//! The parts of these tests that the fuzz targets use.

#![allow(dead_code, reason = "each target takes a part")]

#[path = "../../../engine/tests/hostile/bytes.rs"]
pub(crate) mod bytes;
#[path = "control.rs"]
pub(crate) mod control;
#[path = "dns.rs"]
pub(crate) mod dns;
#[path = "leases.rs"]
pub(crate) mod leases;
#[path = "record.rs"]
pub(crate) mod record;
#[path = "rules.rs"]
pub(crate) mod rules;
#[path = "server.rs"]
pub(crate) mod server;
#[path = "text.rs"]
pub(crate) mod text;
