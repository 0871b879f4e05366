// A receipt to try the page with. Its log was made for this page, by a key that everybody knows.

export const EXAMPLE = {
  key: "example.org/audit+a1e9b93c+AeML6L1/ZjgSNc4pqhLv/I4k6dGKxV1+ItuCJAMMAdoZ",
  receipt: [
    "c2sp.org/tlog-proof@v1",
    "extra eyJ2IjoxLCJzZXEiOjMsInRpbWVzdGFtcCI6IjIwMjYtMTEtMjNUMDk6MTU6MDIuMTIzNDU2WiIsInJlcXVlc3RfaWQiOiIwZjFlMmQzYzRiNWE2OTc4ODc5NmE1YjRjM2QyZTFmMCIsInVzZXJfaWQiOiJhbGljZSIsImFjdGlvbiI6ImFzay5hbnN3ZXJlZCIsImRldGFpbHMiOnsicmVjZWl2ZWQiOjIsImFuc3dlciI6IlRoZSBjYXBpdGFsIG9mIEZyYW5jZSBpcyBQYXJpcy4iLCJtb2RlbCI6InNtb2xsbTItMTM1bSIsInVzYWdlIjp7ImlucHV0X3Rva2VucyI6MzEsIm91dHB1dF90b2tlbnMiOjh9LCJlbGFwc2VkX21zIjo0MTIuNSwiYXR0ZW1wdHMiOjEsImZpbmlzaF9yZWFzb24iOiJzdG9wIiwiY3JlZGVudGlhbCI6InRva2VuOjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmIn0sInByZXZfaGFzaCI6Ijc3ODdjNGVhYTIxZDFhZjA0ZmE4ZDNmZGY3NGY5MTRjODlmYmMyODJlMWQ4ZTE5ODg0ZTA5OTk2ZTVlZDVjNDEiLCJoYXNoIjoiNmZhMDRlYWEzMzc3ZGZhYzlhNTMzMjIwMTBmNzIyMTIxYzFlNTk1ODZkMTk1ZWI3NTE3OWE5MDE3Y2JlMjVmYSJ9",
    "index 3",
    "6YAwUCGW6v0nQ+CvXON3jltpaplWqfQsXc7elbexkWI=",
    "V+o7Ydse6d/XnhHrIwJkdP7mBu3TT2OKyqwLeHkzPlc=",
    "LGG8rRWa8ULgL2aDgm7dsPZghyhkrsCLiqjBl3SySSY=",
    "",
    "example.org/audit",
    "5",
    "/gPd+3RQb4HZxi0KAfO9Doi+Ws6rdwxFeq+STjV1LLA=",
    "",
    "— example.org/audit oem5PN0AC5GNxiFLuClLzJDPxFtfbdch5Em4iXACgAxweaONWZiZb19+MSDrgy8glLV1XNMlNqrBUkQ+kRl1UfnAYAM=",
    "",
  ].join("\n"),
};
