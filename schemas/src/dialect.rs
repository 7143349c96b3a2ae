//! Ancestors' document forms, one file each. Nothing outside this module knows what they look like.

pub mod compozy;
pub mod desktop;
