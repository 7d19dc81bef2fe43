// What the example asks for, so that building this builds all of it once.
package main

import (
	_ "bufio"
	_ "fmt"
	_ "os"

	_ "github.com/MicahParks/keyfunc/v3"
	_ "github.com/golang-jwt/jwt/v5"
)

func main() {}
