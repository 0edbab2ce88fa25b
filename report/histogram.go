package report

import (
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// histogramEncoding is the interoperable form that every HdrHistogram library reads: V2, zlib, base64.
const histogramEncoding = "hdr-v2-compressed-base64"

// What a histogram that is read may ask for. At three digits the widest range there is takes half a megabyte; at five
// it would take fifty. Values beyond these bounds are no durations in ns.
const (
	maxFigures = 3
	maxLowest  = 1e9
	maxHighest = 1 << 60
)

func encodeHistogram(h *hdrhistogram.Histogram) (docHistogram, error) {
	data, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return docHistogram{}, err
	}
	return docHistogram{histogramEncoding, h.SignificantFigures(), h.LowestTrackableValue(), h.HighestTrackableValue(), string(data)}, nil
}

func decodeHistogram(d docHistogram) (*hdrhistogram.Histogram, error) {
	if d.Encoding != histogramEncoding {
		return nil, fmt.Errorf("histogram encoding is %q, want %q", Plain(d.Encoding), histogramEncoding)
	}
	if err := checkHeader(d); err != nil {
		return nil, err
	}
	h, err := hdrhistogram.Decode([]byte(d.Data))
	if err != nil {
		return nil, fmt.Errorf("histogram: %w", err)
	}
	return h, nil
}

// checkHeader reads the 40 bytes that say how large a histogram will be (its precision at 12, lowest and highest value
// at 16 and 24) and refuses one that is too large, before it is made, or that isn't what the document says it is.
func checkHeader(d docHistogram) error {
	raw := base64.NewDecoder(base64.StdEncoding, strings.NewReader(d.Data))
	if _, err := io.CopyN(io.Discard, raw, 8); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	z, err := zlib.NewReader(raw)
	if err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	var header [hdrhistogram.ENCODING_HEADER_SIZE]byte
	if _, err := io.ReadFull(z, header[:]); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	figures := int64(int32(binary.BigEndian.Uint32(header[12:])))
	lowest := int64(binary.BigEndian.Uint64(header[16:]))
	highest := int64(binary.BigEndian.Uint64(header[24:]))
	if figures != d.Figures || lowest != d.Lowest || highest != d.Highest {
		return fmt.Errorf("histogram: data has %d figures from %d to %d, the document says %d from %d to %d",
			figures, lowest, highest, d.Figures, d.Lowest, d.Highest)
	}
	if figures < 1 || figures > maxFigures || lowest < 1 || lowest > maxLowest || highest < lowest || highest > maxHighest {
		return fmt.Errorf("histogram: %d figures from %d to %d is more than a timing needs", figures, lowest, highest)
	}
	return nil
}
