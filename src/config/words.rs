//! Lists of words out of a known set, such as versions of TLS and ciphers.

use super::kind::Kind;
use super::value::{Refusal, Value};

/// The versions of TLS.
pub const TLS_PROTOCOLS: &[&str] = &["TLSv1.2", "TLSv1.3"];

/// The ciphers of TLS 1.2, by the names that OpenSSL has for them.
pub const TLS_CIPHERS: &[&str] = &[
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// The ciphers of TLS 1.3.
pub const TLS_CIPHERSUITES: &[&str] =
    &["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"];

/// Words in the order in which they were given, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// As the set spells them; none leaves the choice to the server.
    pub chosen: Vec<&'static str>,
    colons: bool,
}

impl Value for Words {
    fn update(&mut self, text: &str, kind: &Kind) -> Result<(), Refusal> {
        let Kind::Words { known, colons } = *kind else { return Err("this setting takes no words".into()) };
        let mut chosen: Vec<&'static str> = Vec::new();
        for word in text.split([' ', ':']).filter(|word| !word.is_empty()) {
            let Some(found) = known.iter().find(|known| known.eq_ignore_ascii_case(word)) else {
                return Err(format!("argument(s) must be one of the following: {}", known.join(", ")).into());
            };
            if !chosen.contains(found) {
                chosen.push(found);
            }
        }
        *self = Words { chosen, colons };
        Ok(())
    }

    fn text(&self) -> String {
        self.chosen.join(if self.colons { ":" } else { " " })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_and_stand_once() {
        let read = |text: &str, known: &'static [&'static str], colons| {
            let mut words = Words::default();
            words.update(text, &Kind::Words { known, colons }).map(|()| words.text()).map_err(String::from)
        };
        assert_eq!(read("tlsv1.3  TLSv1.2 TLSv1.3", TLS_PROTOCOLS, false), Ok("TLSv1.3 TLSv1.2".to_owned()));
        assert_eq!(read("", TLS_PROTOCOLS, false), Ok(String::new()));
        let suites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
        assert_eq!(read(suites, TLS_CIPHERSUITES, true), Ok(suites.to_owned()));
        for wrong in ["TLSv1.1", "DEFAULT:!MEDIUM", "x"] {
            let refusal = read(wrong, TLS_PROTOCOLS, false);
            assert_eq!(refusal, Err("argument(s) must be one of the following: TLSv1.2, TLSv1.3".to_owned()));
        }
    }
}
