use ntm_abi::{HEADER_SIZE, HEADER_SYMBOL};
use object::{
    Architecture, BinaryFormat, File, FileKind, Object as _, ObjectSection as _, ObjectSymbol as _,
};

use super::Summary;
use super::header::decode;
use crate::refusal::Why;

/// What the library in `data` says of itself.
///
/// # Errors
/// It is no plugin.
pub fn read(data: &[u8]) -> Result<Summary, Why> {
    let known = FileKind::parse(data).ok().filter(|kind| {
        matches!(kind, FileKind::Elf32 | FileKind::Elf64 | FileKind::MachO32 | FileKind::MachO64)
    });
    if known.is_none() {
        return Err(Why::NotLibrary);
    }
    let file = File::parse(data).map_err(|error| Why::Damaged(error.to_string()))?;
    let address = symbol(&file).ok_or_else(|| missing(&file, data))?;
    let header = bytes_at(&file, address)?;
    let machine = file.architecture();
    let machine = (name(machine), machine == own_machine());
    let mac = file.format() == BinaryFormat::MachO;
    let system = if mac { "macOS" } else { "Linux" };
    let system = (system, mac == cfg!(target_os = "macos"));
    decode(header, file.is_little_endian(), machine, system)
}

/// Where the header is when the file is loaded.
fn symbol(file: &File<'_>) -> Option<u64> {
    let mac = file.format() == BinaryFormat::MachO;
    let is_header = |name: &[u8]| {
        // C names have an underscore in front there.
        let own = name.strip_prefix(b"_").filter(|_| mac).unwrap_or(name);
        own == HEADER_SYMBOL.as_bytes()
    };
    let named = |symbol: &object::Symbol<'_, '_>| {
        symbol.is_definition() && symbol.name_bytes().is_ok_and(is_header)
    };
    let exported = file.dynamic_symbols().find(named);
    // Mach-O has one table for all.
    let symbol = exported.or_else(|| file.symbols().filter(|_| mac).find(named));
    symbol.map(|symbol| symbol.address())
}

/// A library that was cut short has lost its end, where the tables are.
fn missing(file: &File<'_>, data: &[u8]) -> Why {
    let end = |section: object::Section<'_, '_>| {
        section.file_range().map_or(0, |(start, size)| start.saturating_add(size))
    };
    let sections = file.sections().map(end).max();
    match sections {
        Some(end) if end <= data.len() as u64 => Why::NoSymbol,
        Some(_) | None => Why::Damaged("it ends before its sections do".into()),
    }
}

fn bytes_at<'data>(file: &File<'data>, address: u64) -> Result<&'data [u8; HEADER_SIZE], Why> {
    let damaged = || Why::Damaged("its header lies outside of the file".into());
    file.sections()
        .filter_map(|section| section.data_range(address, HEADER_SIZE as u64).ok().flatten())
        .find_map(|bytes| bytes.try_into().ok())
        .ok_or_else(damaged)
}

fn own_machine() -> Architecture {
    if cfg!(target_arch = "x86_64") {
        Architecture::X86_64
    } else if cfg!(target_arch = "aarch64") {
        Architecture::Aarch64
    } else if cfg!(target_arch = "x86") {
        Architecture::I386
    } else if cfg!(target_arch = "arm") {
        Architecture::Arm
    } else if cfg!(target_arch = "riscv64") {
        Architecture::Riscv64
    } else {
        Architecture::Unknown
    }
}

fn name(machine: Architecture) -> String {
    if machine == Architecture::Unknown {
        return "another machine".into();
    }
    format!("{machine:?}").to_lowercase()
}
