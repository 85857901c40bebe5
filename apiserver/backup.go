package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/ingot-lb/ingot/apiserver/export"
	"github.com/ingot-lb/ingot/apiserver/server"
)

// exportStore writes the store of the running apiserver to a file that only its owner may read: it has passwords.
func exportStore(args []string) error {
	flags := pflag.NewFlagSet("apiserver export", pflag.ContinueOnError)
	socket := flags.String("admin-socket", server.DefaultAdminSocket, "unix socket of the running apiserver")
	file := flags.String("to-file", "-", "file to write; -: standard output")
	if err := parse(flags, args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	content, err := server.Export(ctx, *socket)
	if err != nil {
		return err
	}
	if *file == "-" {
		_, err := os.Stdout.Write(content)
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(*file), ".export-") // mode 0600
	if err != nil {
		return fmt.Errorf("--to-file: %w", err)
	}
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), *file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("--to-file: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}

// restoreStore has the running apiserver, which waits because its store is empty, fill it.
func restoreStore(args []string) error {
	flags := pflag.NewFlagSet("apiserver restore", pflag.ContinueOnError)
	socket := flags.String("admin-socket", server.DefaultAdminSocket, "unix socket of the running apiserver")
	file := flags.String("from-file", "", "file that \"export\" wrote, compressed or not; -: standard input")
	secret := flags.String("from-secret", "", "Secret of the system namespace with an export, such as "+export.SecretName+" and "+export.PreviousName)
	if err := parse(flags, args); err != nil {
		return err
	}
	if (*file == "") == (*secret == "") {
		return errors.New("one of --from-file and --from-secret is required")
	}
	var content []byte
	var err error
	switch *file {
	case "":
	case "-":
		content, err = io.ReadAll(io.LimitReader(os.Stdin, export.MaxFile+1))
	default:
		content, err = os.ReadFile(*file)
	}
	if err != nil {
		return fmt.Errorf("--from-file: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	answer, err := server.Restore(ctx, *socket, *secret, content)
	if err != nil {
		return err
	}
	fmt.Printf("restored %d objects of lineage %s, as they were at %s\n", answer.Objects, answer.Lineage, answer.Taken.Format(time.RFC3339))
	return nil
}
