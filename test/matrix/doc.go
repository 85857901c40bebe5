// Package matrix breaks the layer-2 network of a running lab in every way that it knows, one after the other, and
// measures what a client and other hosts of that network notice.
//
// Three Services have an address of each family, and each node owns those of one. A client asks all of them for an
// echo every 10 ms through its kernel, whose neighbour cache is an ordinary one. Beside it, on hosts of their own so
// that they do not mend that cache, probers send an ARP request or a neighbour solicitation for every address every 10
// ms and note which node answers. A Fault is a series of steps, the last of which undo it; of each the gap that the
// client and the probers see, how many nodes answer at once, and whether the right one does in the end are recorded.
package matrix
