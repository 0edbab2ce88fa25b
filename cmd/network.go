package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"github.com/rtbench/rtbench/client"
)

// network reads the flags that say how connections are made.
func (f *loadFlags) network() (*client.Net, error) {
	config := &tls.Config{InsecureSkipVerify: f.insecure}
	if f.caCert != "" {
		pem, err := os.ReadFile(f.caCert)
		if err != nil {
			return nil, usage(fmt.Errorf("--cacert: %w", err), "a PEM file of certificates")
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usage(fmt.Errorf("--cacert: %s holds no certificate", f.caCert), "a PEM file of certificates")
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, usage(fmt.Errorf("--cert and --key: %w", err), "two PEM files that belong together")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if f.connectTo != "" {
		if _, _, err := net.SplitHostPort(f.connectTo); err != nil {
			return nil, usage(fmt.Errorf("--connect-to %q is not HOST:PORT", f.connectTo), "such as 127.0.0.1:8443")
		}
	}
	return &client.Net{
		TLS: config, ConnectTo: f.connectTo, Sources: f.sources.values,
		Timeout: f.timeout, Idle: f.idle, MaxEvent: int(f.maxEvent),
	}, nil
}

// spareFiles is how many descriptors a run needs besides its connections.
const spareFiles = 50

// checkLimits says before the run whether this host can hold so many connections, and what would work.
func checkLimits(connections int, sources int) error {
	if limit := openFiles(); limit > 0 && connections+spareFiles > limit {
		return usage(fmt.Errorf("%d connections need more open files than the limit of %d", connections, limit),
			"--connections %d would work here; `ulimit -n %d` allows them all", max(1, limit-spareFiles), connections+spareFiles)
	}
	ports := localPorts() * max(1, sources)
	if connections > ports {
		return usage(fmt.Errorf("%d connections to one server need more local ports than the %d there are", connections, ports),
			"--connections %d would work; every further --source-ip adds %d, and so does a wider port range", ports, ports/max(1, sources))
	}
	return nil
}
