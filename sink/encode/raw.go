package encode

import "encoding/binary"

// rawBytes is the size, in bytes, up to which a page is not worth compression: the
// tables that a decoder needs take about as much as they save.
const rawBytes = 384

// frameMagic begins a Zstandard frame.
const frameMagic = 0xfd2fb528

// rawFrame makes raw, of at most rawBytes, a Zstandard frame of one block that is
// not compressed, in place of dst.
func rawFrame(dst, raw []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst[:0], frameMagic)
	if n := len(raw); n < 256 { // one segment, whose size follows
		dst = append(dst, 0x20, byte(n))
	} else {
		dst = binary.LittleEndian.AppendUint16(append(dst, 0x60), uint16(n-256))
	}
	head := uint32(len(raw))<<3 | 1 // raw, and the last
	dst = append(dst, byte(head), byte(head>>8), byte(head>>16))
	return append(dst, raw...)
}
