//! What changes a file, or what lies in a directory, by a descriptor that is open for reading.

use lazaret_filter::Action;

const EPERM: u16 = 1;

/// Rules behind those of every policy, in each way of this tier: Landlock does not decide on such requests of ioctl(2), and the
/// process may own the file.
///
/// FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC_SETVERSION and ext4's own, FS_IOC_ENABLE_VERITY, FS_IOC_SET_ENCRYPTION_POLICY, those
/// that add and remove keys of encrypted directories, FAT_IOCTL_SET_ATTRIBUTES, and those of Btrfs that make, change and remove
/// subvolumes (all that take a struct of 4096 bytes).
///
/// Source: Linux 6.18, include/uapi/linux/{fs,fsverity,fscrypt,msdos_fs,btrfs}.h; fs/ext4/ext4.h.
pub(crate) const RULES: [(&str, Action); 11] = [
    ("ioctl(request == 0x40086602)", Action::Refuse(EPERM)),
    ("ioctl(request == 0x401c5820)", Action::Refuse(EPERM)),
    ("ioctl(request == 0x40087602)", Action::Refuse(EPERM)),
    ("ioctl(request == 0x40086604)", Action::Refuse(EPERM)),
    ("ioctl(request == 0x40806685)", Action::Refuse(EPERM)),
    ("ioctl(request == 0x800c6613)", Action::Refuse(EPERM)),
    ("ioctl(request == 0xc0506617)", Action::Refuse(EPERM)),
    ("ioctl(request == 0xc0406618)", Action::Refuse(EPERM)),
    ("ioctl(request == 0x40047211)", Action::Refuse(EPERM)),
    ("ioctl(request & 0x5000ff00 == 0x50009400)", Action::Refuse(EPERM)),
    ("ioctl(request == 0x4008941a)", Action::Refuse(EPERM)),
];
