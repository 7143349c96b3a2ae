//! Tells if files have changed, by looking at them: this also works on network shares, for files that an editor
//! replaces, and for the links that Kubernetes swaps.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// State of files and folders, to compare with a later one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stamps(BTreeMap<PathBuf, Option<Stamp>>);

/// State of a file: where its links lead, and what changes with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    target: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamps {
    /// Adds a file or folder. Call it before the content is read, so that a change in between is noticed. A pipe is left
    /// out, because it can be read once only.
    pub(crate) fn add(&mut self, path: &Path) {
        let is_pipe = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        if is_pipe {
            return;
        }
        self.0.entry(path.to_owned()).or_insert_with(|| stamp(path));
    }

    /// True if nothing was read that could change.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the present state of the files and folders.
    pub(crate) fn renewed(&self) -> Self {
        Self(self.0.keys().map(|path| (path.clone(), stamp(path))).collect())
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        target: fs::canonicalize(path).ok()?,
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_way_to_change_a_file_is_noticed() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("one"))?;
        fs::create_dir(path("other"))?;
        fs::write(path("one/a.yaml"), "a")?;
        fs::write(path("other/a.yaml"), "a")?;
        symlink("one", path("..data"))?;
        symlink("..data/a.yaml", path("a.yaml"))?;
        let mut before = Stamps::default();
        before.add(&path("a.yaml"));
        before.add(&path("gone.yaml"));
        assert_eq!(before.renewed(), before);
        let mut check = |what: &str| {
            let now = before.renewed();
            assert_ne!(now, before, "{what}");
            before = now;
        };
        fs::write(path("one/a.yaml"), "b")?;
        check("written");
        fs::write(path("new"), "c")?;
        fs::rename(path("new"), path("one/a.yaml"))?;
        check("replaced");
        symlink("other", path("..data_tmp"))?;
        fs::rename(path("..data_tmp"), path("..data"))?;
        check("swapped");
        fs::write(path("gone.yaml"), "")?;
        check("created");
        fs::remove_file(path("gone.yaml"))?;
        check("removed");
        Ok(())
    }
}
