//! Translates the policy files into the form the processes read at their start. Reading TOML took a
//! gate or session longer, and left it with more private memory, than everything else it does before
//! it is ready. A test compares each translation with its file.

#[allow(dead_code, reason = "the model is shared with the library; only its form is used here")]
#[path = "src/model.rs"]
mod model;
#[allow(dead_code, reason = "as above")]
#[path = "src/role.rs"]
mod role;

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=roles");
    println!("cargo::rerun-if-changed=src/model.rs");
    println!("cargo::rerun-if-changed=src/role.rs");
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    for role in role::Role::ALL {
        let file = Path::new("roles").join(format!("{role}.toml"));
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let policy: model::Policy =
            toml::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
        let mut bytes = Vec::new();
        ipc::codec::encode(&policy, &mut bytes)?;
        fs::write(Path::new(&out).join(format!("{role}.policy")), bytes)?;
    }
    Ok(())
}
