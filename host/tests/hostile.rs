//! Servers of names and clients of DHCP that say what they want, guests with any commands, and any text as a policy:
//! nothing panics, what is held stays within its bounds, and what is told makes sense.

#[path = "hostile/mod.rs"]
mod hostile;
