//! The commands of the drivers that come with the host crate.

/// The commands of a hub's port.
pub mod hub {
    use core::time::Duration;

    use serde::{Deserialize, Serialize};

    use crate::define_command;
    use crate::interface::Link;

    /// What a hub does with frames.
    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    pub struct Options {
        /// How long a frame travels.
        pub latency: Duration,
        /// A further delay, drawn evenly from zero to this.
        pub jitter: Duration,
        /// The probability of losing a frame.
        pub loss: f64,
        /// The probability of delivering a frame twice.
        pub duplication: f64,
        /// The probability of holding a frame back, so that later ones may overtake it.
        pub reordering: f64,
        /// How fast each port sends, in bits per second; `None` for no limit.
        pub rate: Option<u64>,
        /// How many frames each port holds in each direction.
        pub queue: u32,
    }

    /// What a hub has done with frames since it was made. A frame for three receivers counts three times.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Statistics {
        /// Taken by a receiver.
        pub delivered: u64,
        /// Lost by chance, and in flight to or from a port when it was unplugged.
        pub lost: u64,
        /// Delivered once more.
        pub duplicated: u64,
        /// Held back so that later ones could overtake.
        pub reordered: u64,
        /// Dropped because the receiver's port was full.
        pub dropped_full: u64,
        /// Dropped because they were shorter than an Ethernet header.
        pub malformed: u64,
    }

    define_command! {
        /// How the hub treats frames.
        pub GetOptions = "get hub options", Get, 0x801, 1, 1: () => Options;
        /// What the hub has counted, over all its ports.
        pub GetStatistics = "get hub statistics", Get, 0x801, 2, 1: () => Statistics;
        /// How many ports the hub has.
        pub GetPorts = "get hub ports", Get, 0x801, 3, 1: () => u32;
        /// Plugs this port's cable in or pulls it out.
        pub SetCable = "set cable", Set, 0x801, 4, 1: Link => ();
    }
}

/// The commands of a TAP device.
pub mod tap {
    use crate::define_command;

    define_command! {
        /// The name that the kernel has for its end.
        pub GetKernelName = "get kernel name", Get, 0x802, 1, 1: () => String;
    }
}

/// The commands of a loopback.
pub mod loopback {
    use crate::define_command;

    define_command! {
        /// How many frames it holds at most.
        pub GetQueueLength = "get queue length", Get, 0x803, 1, 1: () => u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CommandId;

    /// A device may wrap another, and a guest may ask the wrong one: what one driver knows, no other has a meaning for.
    #[test]
    fn no_two_drivers_share_an_identifier() {
        let mut all: Vec<CommandId> = [crate::commands::ALL, hub::ALL, tap::ALL, loopback::ALL]
            .iter()
            .flat_map(|commands| commands.iter().map(|(id, _)| *id))
            .collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(
            [hub::ALL, tap::ALL, loopback::ALL]
                .iter()
                .all(|commands| commands.iter().all(|(id, _)| id.group() >= CommandId::FIRST_DRIVER_GROUP))
        );
    }
}
