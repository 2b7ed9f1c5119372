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

/// The process that keeps ids in stock. A forked child has them as well, and its parent gives them away.
static OWNER: OnceLock<Owner> = OnceLock::new();

/// Lets threads of this process keep ids in stock. Called where an engine or a server is made and not by the first call
/// that wants an id: a child that is forked meanwhile would wait for it for ever.
pub fn keep_ids_in_stock() {
    OWNER.get_or_init(Owner::new);
}

/// A fresh id for a reservation.
pub fn random_reservation_id() -> Result<ReservationId, getrandom::Error> {
    let bits = if OWNER.get().is_some_and(Owner::is_here) {
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
        keep_ids_in_stock();
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
