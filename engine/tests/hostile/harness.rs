//! The modules of these tests that the fuzz targets use.

#![allow(dead_code, reason = "each target takes a part")]

#[path = "bytes.rs"]
pub(crate) mod bytes;
#[path = "craft.rs"]
pub(crate) mod craft;
#[path = "dhcp.rs"]
pub(crate) mod dhcp;
#[path = "engine.rs"]
pub(crate) mod engine;
#[path = "fragments.rs"]
pub(crate) mod fragments;
#[path = "frames.rs"]
pub(crate) mod frames;
#[path = "groups.rs"]
pub(crate) mod groups;
#[path = "headers.rs"]
pub(crate) mod headers;
#[path = "icmp.rs"]
pub(crate) mod icmp;
#[path = "information.rs"]
pub(crate) mod information;
#[path = "lender.rs"]
pub(crate) mod lender;
#[path = "loans.rs"]
pub(crate) mod loans;
#[path = "neighbours.rs"]
pub(crate) mod neighbours;
#[path = "operations.rs"]
pub(crate) mod operations;
#[path = "owner.rs"]
pub(crate) mod owner;
#[path = "peer.rs"]
pub(crate) mod peer;
#[path = "routers.rs"]
pub(crate) mod routers;
#[path = "scene.rs"]
pub(crate) mod scene;
#[path = "sent.rs"]
pub(crate) mod sent;
#[path = "station.rs"]
pub(crate) mod station;
#[path = "victim.rs"]
pub(crate) mod victim;
