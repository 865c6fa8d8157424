//! Writes the seeds of every target into its corpus, named as libFuzzer names
//! them: `cargo run --example seed`.

use std::path::Path;

use aws_lc_rs::digest;

fn main() -> std::io::Result<()> {
    for target in ntm_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        std::fs::create_dir_all(&folder)?;
        for seed in (target.seeds)() {
            let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &seed);
            let name: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            std::fs::write(folder.join(name), seed)?;
        }
    }
    Ok(())
}
