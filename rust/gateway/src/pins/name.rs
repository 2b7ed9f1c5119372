//! Names of files for servers, which are called as their operators like.

use std::fmt::Write as _;

use super::digest::Digest;

/// Characters of a file's name before its suffix. Longer ones end in a digest of the server's name, well within the 255 bytes
/// that file systems allow.
const MAX_NAME_CHARACTERS: usize = 180;

/// The name of a server's file, without its suffix: percent-encoded but for what every file system keeps as it is and
/// tells apart.
pub(super) fn name_of(server: &str) -> String {
    // A name that begins with the suffix would be one of those that are hidden.
    if server.is_empty() {
        return "~".to_owned();
    }
    let mut name = String::new();
    for byte in server.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
    if name.len() > MAX_NAME_CHARACTERS {
        let digest = Digest::of(server).to_string();
        name.truncate(MAX_NAME_CHARACTERS - digest.len() - 1);
        name = format!("{name}~{digest}");
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_has_a_file_of_its_own() {
        let long = "x".repeat(300);
        let names = [
            "",
            ".",
            "..",
            "srv",
            "Srv",
            "a/b",
            "a%2Fb",
            "a\0b",
            "é",
            ".lock",
            "srv.json",
            &long,
            &format!("{long}y"),
        ];
        let files: HashSet<String> = names.iter().map(|name| name_of(name).to_lowercase()).collect();
        assert_eq!(files.len(), names.len());
        for file in files {
            assert!(file.len() <= MAX_NAME_CHARACTERS, "{file}");
            assert!(!file.is_empty() && !file.contains(['/', '.', '\0']), "{file}");
        }
        assert_eq!(name_of("aws-ecs_1"), "aws-ecs_1");
    }
}
