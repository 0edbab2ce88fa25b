package client

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sockaddr is an address as the system takes it, of either family, in the memory of the longer one.
type sockaddr struct {
	raw  unix.RawSockaddrInet6
	size uintptr
}

func newSockaddr(a netip.AddrPort) (s sockaddr) {
	port := (*[2]byte)(unsafe.Pointer(&s.raw.Port)) // in the same place in both
	binary.BigEndian.PutUint16(port[:], a.Port())
	if a.Addr().Is4() {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		v4.Family, v4.Addr, s.size = unix.AF_INET, a.Addr().As4(), unix.SizeofSockaddrInet4
		return s
	}
	s.raw.Family, s.raw.Addr, s.size = unix.AF_INET6, a.Addr().As16(), unix.SizeofSockaddrInet6
	s.raw.Scope_id = zoneID(a.Addr().Zone())
	return s
}

// addrPort is the reverse of newSockaddr, without a zone.
func (s *sockaddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&s.raw.Port))[:])
	if s.raw.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw)).Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(s.raw.Addr), port)
}

// zoneID gives the number of an interface that is named, or written as its number; 0 for none.
func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	id, _ := strconv.ParseUint(zone, 10, 32)
	return uint32(id)
}

// openSocket gives a TCP socket to connect to an address with, bound to a source if that isn't the zero Addr.
func openSocket(to, source netip.Addr) (fd int, err error) {
	family := uintptr(unix.AF_INET6)
	if to.Is4() {
		family = unix.AF_INET
	}
	n, _, errno := unix.RawSyscall(unix.SYS_SOCKET, family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if errno != 0 {
		return -1, os.NewSyscallError("socket", errno)
	}
	fd = int(n)
	if err = setOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err == nil && source.IsValid() {
		err = bindSocket(fd, source)
	}
	if err != nil {
		_ = unix.Close(fd)
	}
	return fd, err
}

// bindSocket leaves the port to connect(2), when the other end is known: bound here, a port of a source address would serve
// one destination only.
func bindSocket(fd int, source netip.Addr) error {
	if err := setOption(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	name := newSockaddr(netip.AddrPortFrom(source, 0))
	if _, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&name.raw)), name.size); errno != 0 {
		return os.NewSyscallError("bind", errno)
	}
	return nil
}

func localAddr(fd int) (netip.AddrPort, error) {
	var name sockaddr
	size := uint32(unix.SizeofSockaddrInet6)
	if _, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&name.raw)), uintptr(unsafe.Pointer(&size))); errno != 0 {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", errno)
	}
	return name.addrPort(), nil
}

// setOption sets an option of a socket that is an int. RawSyscall, as everywhere here, since it doesn't wait: told of each
// call, Go's scheduler wakes other threads.
func setOption(fd, level, name, value int) error {
	v := int32(value)
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	if errno != 0 {
		return os.NewSyscallError("setsockopt", errno)
	}
	return nil
}
