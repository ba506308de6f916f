// SPDX-License-Identifier: Apache-2.0
/** Sizes and numbers of Ethernet (IEEE 802.3, 802.1Q) and of what it carries, as far as addresses are concerned. */
export const MAC_BYTES = 6;
/** Without VLAN tags. */
export const ETHERNET_HEADER_BYTES = 14;
/** Without the checksum that hardware adds. */
export const FRAME_BYTES_MIN = 60;
export const TAG_BYTES = 4;
/** A customer's tag within a provider's. */
export const TAGS_MAX = 2;
export const TYPE_IPV4 = 0x0800;
export const TYPE_ARP = 0x0806;
export const TYPE_RARP = 0x8035;
export const TYPE_IPV6 = 0x86dd;
export const TYPE_VLAN = 0x8100;
export const TYPE_PROVIDER_VLAN = 0x88a8;
export const IPV6_HEADER_BYTES = 40;
export const ICMPV6 = 58;
export const NEIGHBOR_SOLICITATION = 135;
export const NEIGHBOR_ADVERTISEMENT = 136;
