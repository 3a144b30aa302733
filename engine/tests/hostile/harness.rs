//! What the fuzz targets take of these tests.

#![allow(dead_code, reason = "each target takes a part")]

#[path = "bytes.rs"]
pub(crate) mod bytes;
#[path = "frames.rs"]
pub(crate) mod frames;
#[path = "operations.rs"]
pub(crate) mod operations;
#[path = "peer.rs"]
pub(crate) mod peer;
#[path = "scene.rs"]
pub(crate) mod scene;
#[path = "victim.rs"]
pub(crate) mod victim;
