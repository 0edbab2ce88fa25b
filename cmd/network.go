package cmd

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"

	"github.com/rtbench/rtbench/client"
)

// tlsConfig says whom to trust.
func tlsConfig(insecure bool, caCert string) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: insecure}
	if caCert == "" {
		return config, nil
	}
	pem, err := readInput(caCert)
	if err != nil {
		return nil, usage(fmt.Errorf("--cacert: %w", err), "a PEM file of certificates")
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, usage(fmt.Errorf("--cacert: %s holds no certificate", caCert), "a PEM file of certificates")
	}
	return config, nil
}

// network reads the flags that say how connections are made.
func (f *loadFlags) network() (*client.Net, error) {
	config, err := tlsConfig(f.insecure, f.caCert)
	if err != nil {
		return nil, err
	}
	if f.cert != "" {
		cert, certErr := readInput(f.cert)
		key, keyErr := readInput(f.key)
		pair, err := tls.X509KeyPair(cert, key)
		if err := cmp.Or(certErr, keyErr, err); err != nil {
			return nil, usage(fmt.Errorf("--cert and --key: %w", err), "two PEM files that belong together")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if f.connectTo != "" {
		if _, _, err := net.SplitHostPort(f.connectTo); err != nil {
			return nil, usage(fmt.Errorf("--connect-to %q is not HOST:PORT", f.connectTo), "such as 127.0.0.1:8443")
		}
	}
	for _, source := range f.sources.values {
		ln, err := net.Listen("tcp", netip.AddrPortFrom(source, 0).String())
		if err != nil {
			return nil, usage(fmt.Errorf("--source-ip %s is not an address of this host", source), "`ip address` or `ifconfig` lists them")
		}
		_ = ln.Close() // it was opened to see whether it can be
	}
	return &client.Net{
		TLS: config, ConnectTo: f.connectTo, Sources: f.sources.values,
		Timeout: f.timeout, Idle: f.idleTimeout(), LearnIdle: f.idle.value().learned, MaxEvent: int(f.maxEvent),
	}, nil
}

// fewPorts is how many connections to one server can leave one address before it takes the system long to find a port
// for the next one, among those that are in use or were lately.
const fewPorts = 5000

// loopbacks are the addresses that so many connections to a loopback address leave from; none where one is enough, where
// the system has no other, and for other hosts.
func loopbacks(host string, connections int) (list []netip.Addr) {
	if to, err := netip.ParseAddr(host); err != nil || !to.Is4() || !to.IsLoopback() {
		return nil
	}
	for addr := netip.AddrFrom4([4]byte{127, 0, 0, 1}); connections > len(list)*fewPorts; addr = addr.Next() {
		ln, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		if err != nil {
			break
		}
		_ = ln.Close() // it was opened to see whether it can be
		list = append(list, addr)
	}
	if len(list) < 2 {
		return nil
	}
	return list
}

// spareFiles is how many descriptors a run needs besides its connections.
const spareFiles = 50

// A host is how many connections this one can hold.
type host struct {
	files int // open at a time; 0 for no limit that is known
	ports int // for outgoing connections from one address to one server
}

func thisHost() host { return host{files: openFiles(), ports: localPorts()} }

// check says before the run whether the host can hold so many connections, and what would work.
func (h host) check(connections, sources int) error {
	ports := h.ports * max(1, sources)
	if h.files > 0 && connections+spareFiles > h.files {
		return usage(fmt.Errorf("%d connections need %d open files, but this process may have %d", connections, connections+spareFiles, h.files),
			"--connections %d would work; for more, raise the hard limit: as root, `ulimit -n %d`", max(1, min(h.files-spareFiles, ports)), connections+spareFiles)
	}
	if connections > ports {
		return usage(fmt.Errorf("%d connections to one server need as many local ports, but there are %d", connections, ports),
			"--connections %d would work; for more, add a --source-ip (%d each) or widen the port range", ports, h.ports)
	}
	return nil
}

// checkProxied is the same for a proxy that the connections go through, which has two for each.
func (h host) checkProxied(connections int) error {
	need := 2*connections + spareFiles
	if h.files == 0 || need <= h.files {
		return nil
	}
	return usage(fmt.Errorf("%d connections through a proxy need %d open files there, but a process may have %d", connections, need, h.files),
		"--connections %d would work; for more, raise the hard limit: as root, `ulimit -n %d`", max(1, (h.files-spareFiles)/2), need)
}
