//! Settings of processes in Compozy's document format. They are extensions; other proxies ignore them.

use crate::dialect::compozy::DefinitionDocument;
use crate::dialect::compozy::number::{count, positive, wire};
use crate::{InvalidDefinition, ProcessSettings};

/// Less memory than any program needs: most likely megabytes were meant.
const LEAST_MEMORY: u32 = 1 << 20;
/// The lowest priority of the scheduler (setpriority(2)).
const NICEST: u32 = 19;

/// Reads the settings of a document.
pub(super) fn read(document: &DefinitionDocument, is_program: bool) -> Result<ProcessSettings, InvalidDefinition> {
    let memory = count(document.max_memory_bytes, "maxMemoryBytes")?;
    if memory.is_some_and(|bytes| bytes < LEAST_MEMORY) {
        return Err(InvalidDefinition::LittleMemory(document.max_memory_bytes));
    }
    let nice = count(document.nice, "nice")?.filter(|nice| *nice <= NICEST);
    if nice.is_none() && document.nice != 0 {
        return Err(InvalidDefinition::Nice(document.nice));
    }
    if let Some(name) = document.inherit_env.iter().find(|name| !is_variable(name)) {
        return Err(InvalidDefinition::InheritedVariable(name.clone()));
    }
    let settings = ProcessSettings {
        user: user(&document.user)?,
        umask: umask(&document.umask)?,
        inherit_env: document.inherit_env.clone(),
        memory_bytes: memory.and(u64::try_from(document.max_memory_bytes).ok()),
        cpu_time: positive(document.max_cpu_time, "maxCpuTime")?,
        open_files: count(document.max_open_files, "maxOpenFiles")?,
        nice: nice.and_then(|nice| u8::try_from(nice).ok()),
    };
    if !is_program && settings != ProcessSettings::default() {
        return Err(InvalidDefinition::NoProcess);
    }
    Ok(settings)
}

fn user(text: &str) -> Result<Option<String>, InvalidDefinition> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@' | b'$');
    let is_name = text.bytes().all(is_allowed) && !text.starts_with('-');
    if is_name {
        Ok((!text.is_empty()).then(|| text.to_owned()))
    } else {
        Err(InvalidDefinition::User(text.to_owned()))
    }
}

/// Reads permissions in octal, such as `027`, `0027` or `0o27`.
fn umask(text: &str) -> Result<Option<u32>, InvalidDefinition> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let is_octal = digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mask = u32::from_str_radix(digits, 8).ok().filter(|mask| is_octal && *mask <= 0o777);
    mask.map(Some).ok_or_else(|| InvalidDefinition::Umask(text.to_owned()))
}

/// Returns true for the name of an environment variable.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && name.trim() == name
}

/// Adds these settings to a document.
pub(super) fn written(settings: ProcessSettings, document: DefinitionDocument) -> DefinitionDocument {
    DefinitionDocument {
        user: settings.user.unwrap_or_default(),
        umask: settings.umask.map(|mask| format!("{mask:03o}")).unwrap_or_default(),
        inherit_env: settings.inherit_env,
        max_memory_bytes: settings.memory_bytes.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        max_cpu_time: wire(settings.cpu_time),
        max_open_files: settings.open_files.map_or(0, i64::from),
        nice: settings.nice.map_or(0, i64::from),
        ..document
    }
}
