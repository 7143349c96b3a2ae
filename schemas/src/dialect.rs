//! Document formats of ancestors, one file each. No other module knows these formats.

pub mod compozy;
pub mod desktop;
