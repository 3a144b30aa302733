//! Our TCP and the kernel's over one lossy link, in network namespaces that the benchmark makes.
//!
//! ```text
//!  namespace of the sender                                       namespace of the receiver
//!  kernel's TCP ---+                                                +--- kernel's TCP
//!                 br0 --- TAP link0 --- thread of the bridge --- TAP link0 --- br0
//!  ours --- TAP ---+                                                +--- TAP --- ours
//! ```
//!
//! Our stack is mounted on a TAP device that the host crate's `Tap` opens, as in a real host, and a Linux bridge joins
//! it to the link. A special `Device` of the benchmark, with a channel to the bridge's thread, would cost less than any
//! real device. So both kinds of ends use their real code, and ours makes one more system call per frame than the
//! kernel, which is its real cost. The kernel's ends pass the same Linux bridge. TAP devices that are opened without
//! `vnet_hdr` take and provide single frames, so that no offload of the kernel reaches the link.
//!
//! The namespaces have no names: the kernel removes them, with all their contents, when their last process ends.
//!
//! | Module | Holds |
//! |---|---|
//! | [`bridge`] | the thread that moves frames between the two TAP devices, when they are due |
//! | [`capture`] | a capture file of the frames that the sender's end sends and receives |
//! | [`endpoint`] | the process at an end of the link: this same program, with our TCP or the kernel's |
//! | [`measure`] | one run of each kind of measurement |
//! | [`namespace`] | network namespaces, and running commands in them |
//! | [`options`] | the command line |
//! | [`pairs`] | all runs of a row, for ours and for the kernel |
//! | [`rows`] | the measurements, with their links and numbers of rounds |
//! | [`world`] | two namespaces and the link between them |
//! | [`way`] | one direction of the link: loss, the bottleneck and its queue, delay, reordering |

pub mod bridge;
pub mod capture;
pub mod endpoint;
pub mod measure;
pub mod namespace;
pub mod options;
pub mod pairs;
pub mod rows;
pub mod way;
pub mod world;
