//! The built-in profiles, embedded from `profiles/` at compile time.

macro_rules! profiles {
    ($($name:literal),* $(,)?) => {
        const BUILTIN: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../profiles/", $name, ".toml")))),*];
    };
}

profiles!("default", "pure", "compute", "shell", "python", "node", "imagemagick", "ffmpeg", "poppler", "libreoffice");

/// The TOML text of a built-in profile.
pub fn builtin(name: &str) -> Option<&'static str> {
    BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of the built-in profiles.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    BUILTIN.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests;
