//! Random numbers of the operating system: the core takes randomness as an argument.

use std::cell::RefCell;
use std::sync::OnceLock;

use callgate_core::ReservationId;
use callgate_core::grant::TOKEN_PREFIX;
use callgate_mapped::Owner;

/// Bytes of an id.
const ID_BYTES: usize = 16;

/// Ids that a thread asks the system for at once: a system call for each would cost more than most of a decision.
const STOCK: usize = 64;

thread_local! {
    /// Ids that nobody has got yet.
    static IDS: RefCell<Vec<[u8; ID_BYTES]>> = const { RefCell::new(Vec::new()) };
}

fn next_of(ids: &mut Vec<[u8; ID_BYTES]>) -> Result<[u8; ID_BYTES], getrandom::Error> {
    if ids.is_empty() {
        let mut bytes = [0; ID_BYTES * STOCK];
        getrandom::fill(&mut bytes)?;
        ids.extend(bytes.as_chunks().0);
    }
    ids.pop().ok_or(getrandom::Error::UNEXPECTED)
}

/// A fresh id for a reservation.
pub fn random_reservation_id() -> Result<ReservationId, getrandom::Error> {
    static OWNER: OnceLock<Owner> = OnceLock::new();
    // A forked child has the ids of its parent, who gives them away as well.
    let bits = if OWNER.get_or_init(Owner::new).is_here() {
        IDS.with_borrow_mut(next_of)
    } else {
        random_key()
    };
    bits.map(|bits| ReservationId::new(u128::from_ne_bytes(bits)))
}

/// A token: `cgt_` and 43 characters of the URL-safe base64 alphabet that stand for 32 random bytes.
pub fn new_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let mut token = String::from(TOKEN_PREFIX);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        // 8 bits are 2 characters, 16 are 3, 24 are 4; nothing is padded.
        for place in 0..=chunk.len() {
            token.push(base64_character(bits >> (18 - 6 * place) & 0x3f));
        }
    }
    Ok(token)
}

fn base64_character(sextet: u32) -> char {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let character = usize::try_from(sextet).ok().and_then(|index| ALPHABET.get(index));
    character.map_or('A', |byte| char::from(*byte))
}

/// A random key, for [`EngineConfig::hash_key`](callgate_core::EngineConfig::hash_key).
pub fn random_key() -> Result<[u8; 16], getrandom::Error> {
    let mut key = [0; 16];
    getrandom::fill(&mut key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_random_and_keep_their_form() {
        let token = new_token().unwrap();
        let body = token.strip_prefix("cgt_").unwrap();
        assert_eq!(body.len(), 43);
        assert!(
            body.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "{token}"
        );
        assert_ne!(token, new_token().unwrap());
    }

    #[test]
    fn ids_never_repeat() {
        let own = || (0..STOCK * 3).map(|_| random_reservation_id().unwrap().to_string());
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(move || own().collect()))
            .collect();
        let all: Vec<String> = threads
            .into_iter()
            .flat_map(|thread| -> Vec<String> { thread.join().unwrap() })
            .collect();
        let distinct: std::collections::HashSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), STOCK * 3 * 4);
        let empty = ReservationId::new(0).to_string();
        assert!(!distinct.contains(&empty));
    }

    #[test]
    fn sextets_are_those_of_base64url() {
        let all: String = (0..64).map(base64_character).collect();
        assert_eq!(
            all,
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        );
    }
}
