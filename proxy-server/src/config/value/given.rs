//! Text of a setting before it is parsed.

/// Text of a setting, with the flag or variable that it comes from.
pub(in crate::config) struct Given {
    pub(in crate::config) origin: String,
    pub(in crate::config) text: String,
}
