//! Random numbers of the operating system: the core takes randomness as an argument.

/// 128 random bits, for reservation ids.
pub fn random_u128() -> Result<u128, getrandom::Error> {
    random_key().map(u128::from_ne_bytes)
}

/// A random key, for [`EngineConfig::hash_key`](callgate_core::EngineConfig::hash_key).
pub fn random_key() -> Result<[u8; 16], getrandom::Error> {
    let mut key = [0; 16];
    getrandom::fill(&mut key)?;
    Ok(key)
}
