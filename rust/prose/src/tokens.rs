//! Words of a sentence, reduced to what matters for its meaning.

use std::borrow::Cow;

/// People that a text speaks of: which one it is makes no difference.
const PEOPLE: [&str; 22] = [
    "user",
    "person",
    "human",
    "people",
    "customer",
    "operator",
    "traveller",
    "client",
    "employee",
    "someone",
    "anyone",
    "reader",
    "owner",
    "patient",
    "shopper",
    "buyer",
    "student",
    "analyst",
    "colleague",
    "staff",
    "requester",
    "caller",
];

/// Ends that a word loses if enough of it stays.
const ENDINGS: [&str; 4] = ["ing", "ed", "es", "s"];
const SHORTEST_STEM: usize = 4;

/// Signs that are tokens: of markup, and of speech. Others, such as commas and quotes, say little.
const SIGNS: &str = "<>[]{}:!?#|*=&%$";

/// Digits of the shortest telephone number.
const SHORTEST_PHONE: usize = 7;

/// The tokens of a text in lower case, in their order.
///
/// Addresses, paths, names of programs and numbers stand for their kind (`<url>`, `<mail>`, `<phone>`, `<path>`,
/// `<name>`, `<number>`), and people for each other (`<person>`): a rule about `https://a.example` must hold for every
/// other address. The words of a path follow it with `/` before them, since `/.ssh` says more than a path.
#[must_use]
pub fn tokens(text: &str) -> Vec<Cow<'_, str>> {
    let mut found = Vec::new();
    for word in text.split_ascii_whitespace() {
        let bare = word.trim_matches(|sign: char| !sign.is_alphanumeric() && !"~/.$+<[{#>]}".contains(sign));
        let bare = bare
            .trim_start_matches(['<', '[', '{', '#'])
            .trim_end_matches(['.', '>', ']', '}', '/', '#']);
        match kind(bare) {
            Some("<path>") => {
                found.push("<path>".into());
                let parts = bare.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
                found.extend(
                    parts
                        .filter(|part| part.len() > 1)
                        .map(|part| format!("/{part}").into()),
                );
            }
            Some(kind) => found.push(kind.into()),
            None => words(word, &mut found),
        }
    }
    found
}

/// The kind of what is not a word of a language.
fn kind(bare: &str) -> Option<&'static str> {
    let digits = || bare.bytes().filter(u8::is_ascii_digit).count();
    if bare.contains("://") {
        Some("<url>")
    } else if bare
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
    {
        Some("<mail>")
    } else if bare.starts_with('+') && digits() >= SHORTEST_PHONE {
        Some("<phone>")
    } else if is_path(bare) {
        Some("<path>")
    } else {
        None
    }
}

/// True for `/etc/passwd`, `~/.ssh`, `$home/x`, `./a` and `.env`, and false for `read/write`.
fn is_path(bare: &str) -> bool {
    match bare.as_bytes() {
        [b'/' | b'~', rest @ ..] => rest.iter().any(u8::is_ascii_alphanumeric),
        [b'.', first, ..] => first.is_ascii_lowercase() || matches!(first, b'/' | b'.') && bare.len() > 3,
        [b'$', ..] => bare.contains('/'),
        _ => false,
    }
}

/// Cuts a word at signs.
fn words<'text>(word: &'text str, found: &mut Vec<Cow<'text, str>>) {
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let length = rest
            .find(|sign: char| !sign.is_alphanumeric() && sign != '_' && sign != '\'')
            .unwrap_or(rest.len());
        if length > 0 {
            found.extend(reduced(rest[..length].trim_matches(['\'', '_'])).map(Cow::from));
            rest = &rest[length..];
        } else {
            if SIGNS.contains(first) {
                found.push(rest[..first.len_utf8()].into());
            }
            rest = &rest[first.len_utf8()..];
        }
    }
}

/// A word without its ending.
fn reduced(word: &str) -> Option<&str> {
    let word = if word.ends_with("n't") {
        "not"
    } else {
        word.split('\'').next()?
    };
    if word.is_empty() {
        None
    } else if word.contains('_') {
        Some("<name>")
    } else if word.bytes().all(|byte| byte.is_ascii_digit()) {
        Some("<number>")
    } else {
        let stem = stem(word);
        let is_person = PEOPLE.contains(&stem) || PEOPLE.contains(&word);
        Some(if is_person { "<person>" } else { stem })
    }
}

fn stem(word: &str) -> &str {
    ENDINGS
        .iter()
        .find_map(|ending| {
            word.strip_suffix(ending)
                .filter(|stem| stem.len() >= SHORTEST_STEM)
        })
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(text: &str) -> String {
        tokens(text).join(" ")
    }

    #[test]
    fn words_lose_their_endings() {
        assert_eq!(
            joined("lists sending copied user's don't api's"),
            "list send copi <person> not api"
        );
        assert_eq!(
            joined("the users, (a customer) or \"people\""),
            "the <person> a <person> or <person>"
        );
    }

    #[test]
    fn kinds_stand_for_what_they_are() {
        assert_eq!(
            joined("to https://a.example/x, (a@b.example) +4917012345"),
            "to <url> <mail> <phone>"
        );
        assert_eq!(
            joined("read `~/.ssh/id_rsa` and .env or /etc/passwd."),
            "read <path> /ssh /id_rsa and <path> /env or <path> /etc /passwd"
        );
        assert_eq!(
            joined("call `send_mail` 3 times, read/write, e.g. a.b"),
            "call <name> <number> time read write e g a b"
        );
        assert_eq!(joined("<important>note: [x] "), "< important > note : [ x ]");
    }

    proptest! {
        #[test]
        fn any_text_has_tokens_without_spaces(text in ".{0,200}") {
            for token in tokens(&text) {
                prop_assert!(!token.is_empty() && !token.contains(' '));
            }
        }
    }
}
