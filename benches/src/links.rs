//! Our TCP and the kernel's over one lossy link, in network namespaces of the benchmark's own.
//!
//! ```text
//!  namespace of the sender                                       namespace of the receiver
//!  kernel's TCP ---+                                                +--- kernel's TCP
//!                 br0 --- TAP link0 --- thread of the bridge --- TAP link0 --- br0
//!  ours --- TAP ---+                                                +--- TAP --- ours
//! ```
//!
//! Our stack is mounted on a TAP device that the host crate's `Tap` opens, as an app's would be, and a Linux bridge joins
//! it to the link. A `Device` of the benchmark's own, with a channel to the bridge's thread, would cost less than any
//! real one; so both kinds of ends use the same code as in earnest, and ours makes one more system call per frame than
//! the kernel, which is what it costs. The kernel's ends pass the same Linux bridge. TAP devices that are opened without
//! `vnet_hdr` take and give single frames, so that no offload of the kernel's reaches the link.
//!
//! The namespaces have no names: the kernel removes them, and all that is in them, with the last process that is in
//! them, however that ends.
//!
//! | Module | Holds |
//! |---|---|
//! | [`bridge`] | the thread that moves frames between the two TAP devices, when they are due |
//! | [`capture`] | a capture file of what the sender's end sends and gets |
//! | [`endpoint`] | what runs in a namespace: a process of this same program, with our TCP or the kernel's |
//! | [`measure`] | one run of each kind of measurement |
//! | [`namespace`] | network namespaces, and what is done in them |
//! | [`options`] | the command line |
//! | [`pairs`] | all runs of a row, ours beside the kernel's |
//! | [`rows`] | what is measured, on which links and how often |
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
