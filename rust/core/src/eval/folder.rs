//! `path_within`: absolute paths, resolved by text alone.

use smallvec::SmallVec;

type Segments<'p> = SmallVec<[&'p str; 16]>;

/// Returns true if an absolute path is one of these folders or inside one; `None` if the path is not absolute or holds
/// NUL.
///
/// Folders are already normalised: absolute, no final slash, the root empty.
pub(super) fn within(path: &str, folders: &[String]) -> Option<bool> {
    let segments = normalised(path)?;
    let inside = |folder: &String| {
        let mut wanted = folder.split('/').skip(1);
        let mut met = segments.iter();
        wanted.all(|segment| met.next() == Some(&segment))
    };
    Some(folders.iter().any(inside))
}

/// Resolves `.`, `..` and `//`; `..` at the root stays there.
fn normalised(path: &str) -> Option<Segments<'_>> {
    if !path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut segments = Segments::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    Some(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within_ab(path: &str) -> Option<bool> {
        within(path, &["/a/b".to_owned()])
    }

    #[test]
    fn folders_and_what_is_inside() {
        for inside in [
            "/a/b",
            "/a/b/",
            "/a/b/c",
            "//a//b",
            "/a/./b/x",
            "/../a/b",
            "/a/x/../b/c",
            "/x/../../a/b",
        ] {
            assert_eq!(within_ab(inside), Some(true), "{inside}");
        }
        for outside in [
            "/",
            "/a",
            "/a/b-evil",
            "/a/b/..",
            "/a/b/../c",
            "/A/b",
            "/a/bb",
            "/a/b/../../etc",
        ] {
            assert_eq!(within_ab(outside), Some(false), "{outside}");
        }
        for fault in ["", "a/b", "./a/b", "/a/b\0", "~/a", "C:\\a"] {
            assert_eq!(within_ab(fault), None, "{fault:?}");
        }
    }

    #[test]
    fn the_root_holds_everything() {
        assert_eq!(within("/anything", &[String::new()]), Some(true));
        assert_eq!(within("/", &[String::new()]), Some(true));
    }
}
