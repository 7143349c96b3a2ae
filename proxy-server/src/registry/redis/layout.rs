//! Keys of the store, and the forms of what stands under them.

pub(super) const DEFINITIONS: &str = "mcp_proxy:mcps:";
pub(super) const STATUSES: &str = "mcp_proxy:status:";
pub(super) const META: &str = "mcp_proxy:gateway:meta";
pub(super) const MARKS: &str = "mcp_proxy:gateway:marks";
pub(super) const LEASES: &str = "mcp_proxy:gateway:leases";
pub(super) const LOCKS: &str = "mcp_proxy:gateway:locks";
pub(super) const TOKENS: &str = "mcp_proxy:gateway:tokens";
pub(super) const CHANGES: &str = "mcp_proxy:gateway:changes";

/// Version of the form of the records. A store with a higher one is refused.
pub(super) const FORMAT: u64 = 1;
/// Entries of a stream: ids, each with its fields and values in turn.
pub(super) type Entries = Vec<(String, Vec<String>)>;

/// Writes bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the version and the id in an entry of the stream of changes.
pub(super) fn change_of(fields: &[String]) -> Option<(u64, &str)> {
    let value = |name: &str| fields.chunks(2).find(|pair| pair.first().is_some_and(|own| own == name))?.get(1);
    Some((value("version")?.parse().ok()?, value("change")?))
}
