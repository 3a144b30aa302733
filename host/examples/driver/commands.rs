//! The commands of a radio. A driver provides such a file, which both the driver and its apps use.

xila_network_commands::define_command! {
    /// Returns the channel that the radio is tuned to.
    pub(crate) GetChannel = "get channel", Get, 0x8f0, 1, 1: () => u8;
    /// Tunes the radio to a channel, 1 to 13.
    pub(crate) SetChannel = "set channel", Set, 0x8f0, 1, 1: u8 => ();
}
