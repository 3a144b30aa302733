//! The commands of the drivers that come with the host crate.

/// The commands of a hub's port.
pub mod hub {
    use core::time::Duration;

    use serde::{Deserialize, Serialize};

    use crate::define_command;
    use crate::interface::Link;

    /// How a hub treats frames.
    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    pub struct Options {
        /// The delay of a frame.
        pub latency: Duration,
        /// The maximum of a further delay, drawn uniformly from zero to this value.
        pub jitter: Duration,
        /// The probability of losing a frame.
        pub loss: f64,
        /// The probability of delivering a frame twice.
        pub duplication: f64,
        /// The probability of holding a frame back, so that later ones may overtake it.
        pub reordering: f64,
        /// The rate at which each port sends, in bits per second; `None` for no limit.
        pub rate: Option<u64>,
        /// How many frames each port holds in each direction.
        pub queue: u32,
    }

    /// The counters of a hub since it was made. A frame for three receivers counts three times.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Statistics {
        /// Frames that a receiver has taken.
        pub delivered: u64,
        /// Frames lost at random, and frames in flight to or from a port when it was unplugged.
        pub lost: u64,
        /// Frames delivered a second time.
        pub duplicated: u64,
        /// Frames held back so that later ones could overtake them.
        pub reordered: u64,
        /// Frames dropped because the receiver's port was full.
        pub dropped_full: u64,
        /// Frames dropped because they were shorter than an Ethernet header.
        pub malformed: u64,
    }

    define_command! {
        /// How the hub treats frames.
        pub GetOptions = "get hub options", Get, 0x801, 1, 1: () => Options;
        /// The counters of the hub, over all its ports.
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
        /// The name of the device in the kernel.
        pub GetKernelName = "get kernel name", Get, 0x802, 1, 1: () => String;
    }
}

/// The commands of a loopback.
pub mod loopback {
    use crate::define_command;

    define_command! {
        /// The maximum number of frames in its queue.
        pub GetQueueLength = "get queue length", Get, 0x803, 1, 1: () => u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CommandId;

    /// A device may wrap another, and a guest may send a command to the wrong device: a command of one driver must mean
    /// nothing to the others.
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
