package certs

import (
	"encoding/pem"
)

// splitPEM sorts the blocks of data into certificates and everything else.
func splitPEM(data []byte) (certs, keys []byte) {
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			return certs, keys
		}
		if block.Type == "CERTIFICATE" {
			certs = append(certs, pem.EncodeToMemory(block)...)
		} else {
			keys = append(keys, pem.EncodeToMemory(block)...)
		}
	}
}
